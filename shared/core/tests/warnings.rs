//! What `millrace check` warns of, as a reviewer sees it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use expect_test::{Expect, expect};
use millrace_core::files::NONE;
use millrace_core::pipeline::Pipeline;

const EVENT: &str = "[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\n";
const IP: &str = "[[step]]\nanonymize.truncate_ip = [\"ip\"]\n";

fn warnings(text: &str) -> String {
    let (_, warnings) = Pipeline::check(text, &NONE).map_err(|m| m.render("pipeline.toml")).unwrap();
    warnings.render("pipeline.toml")
}

/// The warnings of a pipeline that truncates the address in line 6, before these lines.
#[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(&warnings(&format!("{EVENT}{IP}{text}")));
}

#[test]
fn what_is_meant_so_has_no_warnings() {
    check("", expect![[""]]);
    check(
        "[[step]]\nclean.cast = { price = \"float\" }\n[lake]\ncolumns = [{ name = \"ip\", type = \"string\" }]\n",
        expect![[""]],
    );
}

#[test]
fn a_field_that_an_earlier_step_removed_is_told() {
    check(
        "[[step]]\nanonymize.drop = [\"data\"]\n[[step]]\nclean.cast = { price = \"float\", \"data.x\" = \"int\" }\n",
        expect![[r#"
        pipeline.toml:10:33: warning: `clean.cast` finds no `data.x`: `anonymize.drop` in line 8 removes it
           |
        10 | clean.cast = { price = "float", "data.x" = "int" }
           |                                 ^^^^^^^^
           = put this step before that one, or take `data.x` out here
    "#]],
    );
    check(
        "[[step]]\nanonymize.drop = [\"price\"]\n[[step]]\nfilter.keep = \"unprice > 2 || price > 1\"\n",
        expect![[r#"
        pipeline.toml:10:31: warning: `filter.keep` finds no `price`: `anonymize.drop` in line 8 removes it
           |
        10 | filter.keep = "unprice > 2 || price > 1"
           |                               ^^^^^
           = put this step before that one, or take `price` out here
    "#]],
    );
    check(
        "[[step]]\nanonymize.drop = [\"**.note\"]\n[[step]]\nanonymize.hmac = [\"data.note\"]\n",
        expect![[r#"
        pipeline.toml:10:19: warning: `anonymize.hmac` finds no `data.note`: `anonymize.drop` in line 8 removes it
           |
        10 | anonymize.hmac = ["data.note"]
           |                   ^^^^^^^^^^^
           = put this step before that one, or take `data.note` out here
    "#]],
    );
}

#[test]
fn a_field_that_was_written_again_is_there() {
    check(
        "[[step]]\nanonymize.drop = [\"page\"]\n[[step]]\nenrich.url = { from = \"url\", into = \"page\" }\n[[step]]\nclean.require = [\"page.host\"]\n[lake]\ncolumns = [{ name = \"page.path\", type = \"string\" }]\n",
        expect![[""]],
    );
}

#[test]
fn a_step_that_comes_too_late_to_read_a_field_is_told() {
    check(
        "[[step]]\nanonymize.hmac = [\"url\"]\n[[step]]\nenrich.url = { from = \"url\", into = \"page\" }\n",
        expect![[r#"
            pipeline.toml:10:23: warning: `enrich.url` reads the URL from what `anonymize.hmac` in line 8 has left of `url`
               |
            10 | enrich.url = { from = "url", into = "page" }
               |                       ^^^^^
               = put this step before that one
        "#]],
    );
}

#[test]
fn an_address_is_read_before_it_is_truncated() {
    check(
        "[[step]]\nfilter.ip = { field = \"ip\", deny = [\"10.0.0.0/8\"] }\n",
        expect![[r#"
            pipeline.toml:8:23: warning: `filter.ip` reads the address from what `anonymize.truncate_ip` in line 6 has left of `ip`
              |
            8 | filter.ip = { field = "ip", deny = ["10.0.0.0/8"] }
              |                       ^^^^
              = put this step before that one
        "#]],
    );
}

#[test]
fn what_is_done_to_some_events_is_not_done_to_all() {
    check(
        "[[step]]\nwhen = \"t == 'x'\"\nanonymize.hmac = [\"email\"]\n[lake]\ncolumns = [{ name = \"email\", type = \"string\" }]\n",
        expect![[r#"
            pipeline.toml:11:21: warning: `email` looks personal, and is anonymized only in the events that a `when` is true of
               |
            11 | columns = [{ name = "email", type = "string" }]
               |                     ^^^^^^^
               = add `anonymize.hmac = ["email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["email"]`
        "#]],
    );
    check(
        "[[step]]\nwhen = \"t == 'x'\"\nanonymize.drop = [\"note\"]\n[[step]]\nclean.require = [\"note\"]\n",
        expect![[""]],
    );
    check(
        "[[step]]\nanonymize.drop = [\"price\"]\n[[step]]\nwhen = \"price > 1\"\nclean.trim = [\"note\"]\n",
        expect![[r#"
            pipeline.toml:10:9: warning: `clean.trim` finds no `price`: `anonymize.drop` in line 8 removes it
               |
            10 | when = "price > 1"
               |         ^^^^^
               = put this step before that one, or take `price` out here
        "#]],
    );
}

#[test]
fn what_is_not_kept_is_gone() {
    check(
        "[[step]]\nanonymize.keep_only = [\"t\", \"at\", \"data.price\", \"userId\"]\n[[step]]\nclean.require = [\"data\", \"data.price.eur\", \"data.note\", \"email\"]\n",
        expect![[r#"
            pipeline.toml:2:6: warning: the id of an event is gone: `anonymize.keep_only` in line 8 removes `id`
              |
            2 | id = "id"
              |      ^^^^
              = every event would go to the quarantine: leave the field, or name another here
            pipeline.toml:8:49: warning: `userId` looks personal, and no step anonymizes it
              |
            8 | anonymize.keep_only = ["t", "at", "data.price", "userId"]
              |                                                 ^^^^^^^^
              = add `anonymize.hmac = ["userId"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["userId"]`
            pipeline.toml:10:44: warning: `clean.require` finds no `data.note`: `anonymize.keep_only` in line 8 removes it
               |
            10 | clean.require = ["data", "data.price.eur", "data.note", "email"]
               |                                            ^^^^^^^^^^^
               = put this step before that one, or take `data.note` out here
            pipeline.toml:10:57: warning: `clean.require` finds no `email`: `anonymize.keep_only` in line 8 removes it
               |
            10 | clean.require = ["data", "data.price.eur", "data.note", "email"]
               |                                                         ^^^^^^^
               = put this step before that one, or take `email` out here
        "#]],
    );
    check(
        "[[step]]\nanonymize.keep_only = [\"id\", \"t\", \"at\", \"**.sku\"]\n[[step]]\nclean.require = [\"any.thing\"]\n",
        expect![[""]],
    );
}

#[test]
fn a_default_is_there_for_a_field_that_is_gone() {
    check(
        "[[step]]\nanonymize.drop = [\"note\"]\n[[step]]\nclean.default = { note = \"-\" }\n[[step]]\nclean.require = [\"note\"]\n",
        expect![[""]],
    );
}

#[test]
fn what_every_event_needs_and_every_column_shows_must_not_be_gone() {
    check(
        "[[step]]\nanonymize.drop = [\"id\", \"note\"]\n[lake]\ncolumns = [\n  { name = \"price\", type = \"double\" },\n  { name = \"note.text\", type = \"string\" },\n]\n",
        expect![[r#"
            pipeline.toml:2:6: warning: the id of an event is gone: `anonymize.drop` in line 8 removes `id`
              |
            2 | id = "id"
              |      ^^^^
              = every event would go to the quarantine: leave the field, or name another here
            pipeline.toml:12:12: warning: the column of `note.text` is always null: `anonymize.drop` in line 8 removes the field
               |
            12 |   { name = "note.text", type = "string" },
               |            ^^^^^^^^^^^
               = take the column out, or leave the field
        "#]],
    );
}

#[test]
fn personal_fields_that_no_step_anonymizes_are_told() {
    check(
        "[[step]]\nclean.require = [\"user.first_name\", \"page.name\"]\n[lake]\ncolumns = [{ name = \"E-Mail\", type = \"string\" }, { name = \"user.first_name\", type = \"string\" }]\n",
        expect![[r#"
            pipeline.toml:8:18: warning: `user.first_name` looks personal, and no step anonymizes it
              |
            8 | clean.require = ["user.first_name", "page.name"]
              |                  ^^^^^^^^^^^^^^^^^
              = add `anonymize.hmac = ["user.first_name"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["user.first_name"]`
            pipeline.toml:10:21: warning: `E-Mail` looks personal, and no step anonymizes it
               |
            10 | columns = [{ name = "E-Mail", type = "string" }, { name = "user.first_name", type = "string" }]
               |                     ^^^^^^^^
               = add `anonymize.hmac = ["E-Mail"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["E-Mail"]`
        "#]],
    );
    check(
        "[[step]]\nanonymize.hmac = [\"**.email\", \"user\"]\n[[step]]\nclean.require = [\"a.email\", \"user.name\"]\n",
        expect![[""]],
    );
    check(
        "[[step]]\nenrich.compute = { name = \"t\" }\n[lake]\ncolumns = [{ name = \"name\", type = \"string\" }]\n",
        expect![[""]],
    );
    check(
        "[[step]]\nenrich.compute = { name = \"name + t\" }\n",
        expect![[r#"
            pipeline.toml:8:28: warning: `name` looks personal, and no step anonymizes it
              |
            8 | enrich.compute = { name = "name + t" }
              |                            ^^^^
              = add `anonymize.hmac = ["name"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["name"]`
        "#]],
    );
    assert_eq!(warnings(&format!("{EVENT}{IP}").replace("\"t\"", "\"name\"")), "");
    expect![[r#"
        pipeline.toml:1:2: warning: ingest gives each event the sender's `ip`, and no step anonymizes it
          |
        1 | [event]
          |  ^^^^^
          = add `anonymize.truncate_ip = ["ip"]` or `anonymize.drop = ["ip"]`; if no sender is a person, say so: `[check]`, `allow = ["ip"]`
        pipeline.toml:5:18: warning: `userId` looks personal, and no step anonymizes it
          |
        5 | partition_key = ["userId"]
          |                  ^^^^^^^^
          = add `anonymize.hmac = ["userId"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["userId"]`
    "#]].assert_eq(&warnings("[event]\nid = \"id\"\ntype = \"t\"\ntime = \"at\"\npartition_key = [\"userId\"]\n"));
}

#[test]
fn what_is_meant_so_can_be_said_and_only_what_needs_it() {
    check(
        "[[step]]\nclean.require = [\"name\", \"data.email\"]\n[check]\nallow = [\"name\", \"data.**\"]\n",
        expect![[""]],
    );
    check(
        "[check]\nallow = [\"name\"]\n",
        expect![[r#"
        pipeline.toml:8:10: warning: nothing is to be said of `name` that this would allow
          |
        8 | allow = ["name"]
          |          ^^^^^^
          = take it out
    "#]],
    );
    check(
        "[lake]\ncolumns = [{ name = \"email\", type = \"string\" }]\n[check]\nallow = [\"emial\"]\n",
        expect![[r#"
        pipeline.toml:8:21: warning: `email` looks personal, and no step anonymizes it
          |
        8 | columns = [{ name = "email", type = "string" }]
          |                     ^^^^^^^
          = add `anonymize.hmac = ["email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["email"]`
        pipeline.toml:10:10: warning: nothing is to be said of `emial` that this would allow
           |
        10 | allow = ["emial"]
           |          ^^^^^^^
           = take it out
    "#]],
    );
}

#[test]
fn redaction_hides_what_has_a_form_and_is_looked_for() {
    let columns = "[lake]\ncolumns = [{ name = \"email\", type = \"string\" }, { name = \"userId\", type = \"string\" }]\n";
    check(
        &format!("[[step]]\nanonymize.redact = [\"**\"]\n{columns}"),
        expect![[r#"
        pipeline.toml:10:58: warning: `userId` looks personal, and has no form that `anonymize.redact` would find it by
           |
        10 | columns = [{ name = "email", type = "string" }, { name = "userId", type = "string" }]
           |                                                          ^^^^^^^^
           = add `anonymize.hmac = ["userId"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["userId"]`
    "#]],
    );
    check(
        &format!(
            "[[step]]\nanonymize.redact = {{ fields = [\"email\"], find = [\"us_ssn\"] }}\n[[step]]\nanonymize.hmac = [\"userId\"]\n{columns}"
        ),
        expect![[r#"
            pipeline.toml:8:32: warning: `email` looks personal, and has no form that `anonymize.redact` would find it by
              |
            8 | anonymize.redact = { fields = ["email"], find = ["us_ssn"] }
              |                                ^^^^^^^
              = add `anonymize.hmac = ["email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["email"]`
        "#]],
    );
    check(
        "[[step]]\nanonymize.redact = [\"data.addr\", \"client_ip\"]\n[[step]]\nfilter.ip = { field = \"client_ip\", deny = [\"10.0.0.0/8\"] }\n",
        expect![[r#"
            pipeline.toml:10:23: warning: `filter.ip` reads the address from what `anonymize.redact` in line 8 has left of `client_ip`
               |
            10 | filter.ip = { field = "client_ip", deny = ["10.0.0.0/8"] }
               |                       ^^^^^^^^^^^
               = put this step before that one
        "#]],
    );
}

#[test]
fn a_personal_name_any_way_down_is_told() {
    check(
        "[[step]]\nclean.lowercase = [\"**.email\", \"data.**.email\", \"**.name\"]\n",
        expect![[r#"
        pipeline.toml:8:20: warning: `**.email` looks personal, and no step anonymizes it
          |
        8 | clean.lowercase = ["**.email", "data.**.email", "**.name"]
          |                    ^^^^^^^^^^
          = add `anonymize.hmac = ["**.email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["**.email"]`
        pipeline.toml:8:32: warning: `data.**.email` looks personal, and no step anonymizes it
          |
        8 | clean.lowercase = ["**.email", "data.**.email", "**.name"]
          |                                ^^^^^^^^^^^^^^^
          = add `anonymize.hmac = ["data.**.email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["data.**.email"]`
    "#]],
    );
    check(
        "[[step]]\nclean.lowercase = [\"**.email\"]\n[[step]]\nanonymize.hmac = [\"email\"]\n[[step]]\nanonymize.drop = [\"data.**.email\"]\n",
        expect![[r#"
            pipeline.toml:8:20: warning: `**.email` looks personal, and no step anonymizes it
              |
            8 | clean.lowercase = ["**.email"]
              |                    ^^^^^^^^^^
              = add `anonymize.hmac = ["**.email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["**.email"]`
        "#]],
    );
    check(
        "[[step]]\nclean.lowercase = [\"**.email\", \"data.**.phone\"]\n[[step]]\nanonymize.hmac = [\"**.email\"]\n[[step]]\nanonymize.redact = [\"data\"]\n[[step]]\nanonymize.keep_only = [\"id\", \"t\", \"at\", \"data\"]\n[[step]]\nclean.trim = [\"**.email\"]\n",
        expect![[r#"
            pipeline.toml:8:32: warning: `data.**.phone` looks personal, and has no form that `anonymize.redact` would find it by
              |
            8 | clean.lowercase = ["**.email", "data.**.phone"]
              |                                ^^^^^^^^^^^^^^^
              = add `anonymize.hmac = ["data.**.phone"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["data.**.phone"]`
        "#]],
    );
}

#[test]
fn an_id_of_what_is_personal_wants_a_key() {
    let hash = "[[step]]\nenrich.hash_id = { fields = [\"email\", \"sku\"], into = \"id\" }\n";
    let hmac = "[[step]]\nanonymize.hmac = [\"email\"]\n";
    check(
        &format!("{hash}{hmac}"),
        expect![[r#"
        pipeline.toml:8:30: warning: `enrich.hash_id` has no key: whoever guesses `email` can tell from the id
          |
        8 | enrich.hash_id = { fields = ["email", "sku"], into = "id" }
          |                              ^^^^^^^
          = take other fields, or put `anonymize.hmac = ["email"]` before this step
    "#]],
    );
    check(&format!("{hmac}{hash}"), expect![[""]]);
}

#[test]
fn what_is_redacted_alone_has_to_have_a_form() {
    check(
        "[[step]]\nanonymize.redact = [\"message\", \"email\", \"buyer.name\", \"data.**\"]\n",
        expect![[r#"
            pipeline.toml:8:41: warning: `buyer.name` looks personal, and has no form that `anonymize.redact` would find it by
              |
            8 | anonymize.redact = ["message", "email", "buyer.name", "data.**"]
              |                                         ^^^^^^^^^^^^
              = add `anonymize.hmac = ["buyer.name"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["buyer.name"]`
        "#]],
    );
    check(
        "[[step]]\nanonymize.redact = { fields = [\"email\"], find = [\"phone\"] }\n",
        expect![[r#"
        pipeline.toml:8:32: warning: `email` looks personal, and has no form that `anonymize.redact` would find it by
          |
        8 | anonymize.redact = { fields = ["email"], find = ["phone"] }
          |                                ^^^^^^^
          = add `anonymize.hmac = ["email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["email"]`
    "#]],
    );
}

#[test]
fn what_a_table_or_a_query_brings_may_be_personal() {
    let table: &[u8] = b"sku,email,phone\n1,ann@example.com,7\n";
    let text = format!(
        "{EVENT}{IP}[[step]]\nenrich.lookup = {{ from = \"sku\", into = \"customer\", table = \"t.csv\", key = \"sku\", fields = [\"phone\"] }}\n[[step]]\nenrich.url = {{ from = \"url\", into = \"page\", query = [\"q\", \"email\"] }}\n[lake]\ncolumns = [{{ name = \"customer.email\", type = \"string\" }}, {{ name = \"page.host\", type = \"string\" }}]\n"
    );
    let (_, warnings) = Pipeline::check(&text, &[("t.csv", table)].as_slice()).unwrap();
    expect![[r#"
        pipeline.toml:8:92: warning: `customer.phone` looks personal, and no step anonymizes it
          |
        8 | enrich.lookup = { from = "sku", into = "customer", table = "t.csv", key = "sku", fields = ["phone"] }
          |                                                                                            ^^^^^^^
          = add `anonymize.hmac = ["customer.phone"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["customer.phone"]`
        pipeline.toml:10:59: warning: `page.query.email` looks personal, and no step anonymizes it
           |
        10 | enrich.url = { from = "url", into = "page", query = ["q", "email"] }
           |                                                           ^^^^^^^
           = add `anonymize.hmac = ["page.query.email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["page.query.email"]`
        pipeline.toml:12:21: warning: `customer.email` looks personal, and no step anonymizes it
           |
        12 | columns = [{ name = "customer.email", type = "string" }, { name = "page.host", type = "string" }]
           |                     ^^^^^^^^^^^^^^^^
           = add `anonymize.hmac = ["customer.email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["customer.email"]`
    "#]].assert_eq(&warnings.render("pipeline.toml"));
}

#[test]
fn what_goes_on_in_another_field_is_told() {
    check(
        "[[step]]\nclean.rename = { email = \"contact\" }\n[lake]\ncolumns = [{ name = \"contact\", type = \"string\" }]\n",
        expect![[r#"
            pipeline.toml:8:26: warning: `contact` holds what `email` held, by `clean.rename` in line 8, and no step anonymizes it
              |
            8 | clean.rename = { email = "contact" }
              |                          ^^^^^^^^^
              = add `anonymize.hmac = ["contact"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = ["contact"]`
        "#]],
    );
    check(
        "[[step]]\nenrich.compute = { contact = \"has(user.email) ? user.email : null\", known = \"user.email != null\" }\n[[step]]\nclean.rename = { contact = \"whom\" }\n[[step]]\nanonymize.drop = [\"user.email\"]\n",
        expect![[r#"
            pipeline.toml:10:28: warning: `whom` holds what `user.email` held, by `clean.rename` in line 10, and no step anonymizes it
               |
            10 | clean.rename = { contact = "whom" }
               |                            ^^^^^^
               = add `anonymize.hmac = ["whom"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = ["whom"]`
        "#]],
    );
    // What a field holds goes with it: an object's e-mail address, and one that is taken of a list.
    check(
        "[[step]]\nclean.require = [\"user.email\", \"people[].phone\"]\n[[step]]\nclean.rename = { user = \"who\", people = \"data.all\" }\n[[step]]\nclean.rename = { who = \"whom\" }\n[[step]]\nanonymize.mask = [\"data.all[].phone\"]\n",
        expect![[r#"
            pipeline.toml:12:24: warning: `whom.email` holds what `user.email` held, by `clean.rename` in line 12, and no step anonymizes it
               |
            12 | clean.rename = { who = "whom" }
               |                        ^^^^^^
               = add `anonymize.hmac = ["whom.email"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = ["whom.email"]`
        "#]],
    );
    check(
        "[[step]]\nenrich.compute = { before = \"user\", old = \"user\", older = \"user\" }\n[[step]]\nanonymize.hmac = [\"user.email\", \"old.email\"]\n[[step]]\nanonymize.drop = [\"older\"]\n",
        expect![[r#"
            pipeline.toml:8:20: warning: `before` holds what `user.email` held, by `enrich.compute` in line 8, and no step anonymizes it
              |
            8 | enrich.compute = { before = "user", old = "user", older = "user" }
              |                    ^^^^^^
              = add `anonymize.hmac = ["before"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = ["before"]`
        "#]],
    );
    check(
        "[[step]]\nenrich.compute = { all = \"people.map(p, p.email)\", first = \"people[0].email\", many = \"people.map(p, size(p.email))\", good = \"people.filter(p, p.email != '')\" }\n",
        expect![[r#"
            pipeline.toml:8:20: warning: `all` holds what `people[].email` held, by `enrich.compute` in line 8, and no step anonymizes it
              |
            8 | enrich.compute = { all = "people.map(p, p.email)", first = "people[0].email", many = "people.map(p, size(p.email))", good = "people.filter(p, p.email != '')" }
              |                    ^^^
              = add `anonymize.hmac = ["all"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = ["all"]`
            pipeline.toml:8:52: warning: `first` holds what `people[].email` held, by `enrich.compute` in line 8, and no step anonymizes it
              |
            8 | enrich.compute = { all = "people.map(p, p.email)", first = "people[0].email", many = "people.map(p, size(p.email))", good = "people.filter(p, p.email != '')" }
              |                                                    ^^^^^
              = add `anonymize.hmac = ["first"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = ["first"]`
        "#]],
    );
    check(
        "[[step]]\nanonymize.hmac = [\"user.email\"]\n[[step]]\nclean.rename = { user = \"who\" }\n",
        expect![[""]],
    );
    // What was redacted of the field before says nothing of what it holds now.
    check(
        "[[step]]\nanonymize.redact = [\"contact\"]\n[[step]]\nclean.rename = { email = \"contact\" }\n",
        expect![[r#"
            pipeline.toml:10:26: warning: `contact` holds what `email` held, by `clean.rename` in line 10, and no step anonymizes it
               |
            10 | clean.rename = { email = "contact" }
               |                          ^^^^^^^^^
               = add `anonymize.hmac = ["contact"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = ["contact"]`
        "#]],
    );
    check(
        "[[step]]\nclean.rename = { email = \"contact\" }\n[[step]]\nanonymize.redact = [\"contact\"]\n",
        expect![[""]],
    );
    // Hidden behind it, or before it, it is hidden.
    check(
        "[[step]]\nclean.rename = { email = \"contact\" }\n[[step]]\nanonymize.hmac = [\"contact\"]\n",
        expect![[""]],
    );
    check(
        "[[step]]\nanonymize.hmac = [\"email\"]\n[[step]]\nclean.rename = { email = \"contact\" }\n",
        expect![[""]],
    );
}

#[test]
fn an_id_that_changes_with_the_key_is_told() {
    check(
        "[[step]]\nanonymize.hmac = [\"id\"]\n",
        expect![[r#"
        pipeline.toml:2:6: warning: the id of an event changes with the key: `anonymize.hmac` in line 8 makes it of `id`
          |
        2 | id = "id"
          |      ^^^^
          = what is sent again around a rotation of the key lands twice: have an id that is nobody's, and leave it
    "#]],
    );
    check(
        "[[step]]\nanonymize.hmac = [\"id\"]\n[[step]]\nenrich.hash_id = { fields = [\"t\"], into = \"id\" }\n",
        expect![[""]],
    );
}

#[test]
fn a_time_that_is_no_time_any_more_is_told() {
    check(
        "[[step]]\nanonymize.hmac = [\"at\"]\n",
        expect![[r#"
        pipeline.toml:4:8: warning: the time of an event can no longer be read: `anonymize.hmac` in line 8 has made something else of `at`
          |
        4 | time = "at"
          |        ^^^^
          = every event would go to the quarantine: leave the field, or name another here
    "#]],
    );
}

#[test]
fn an_old_value_that_looks_personal_is_told() {
    check(
        "[[step]]\nanonymize.hmac = [\"email\", \"phone\", \"change.old.phone\"]\n[changes]\nold = [\"status\", \"email\", \"phone\", \"name\"]\n",
        expect![[r#"
            pipeline.toml:10:18: warning: `change.old.email` looks personal, and no step anonymizes it
               |
            10 | old = ["status", "email", "phone", "name"]
               |                  ^^^^^^^
               = add `anonymize.hmac = ["change.old.email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["change.old.email"]`
            pipeline.toml:10:36: warning: `change.old.name` looks personal, and no step anonymizes it
               |
            10 | old = ["status", "email", "phone", "name"]
               |                                    ^^^^^^
               = add `anonymize.hmac = ["change.old.name"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["change.old.name"]`
        "#]],
    );
    check("[changes]\nold = [\"email\"]\n[check]\nallow = [\"change.old.email\"]\n", expect![[""]]);
}

#[test]
fn the_fields_of_a_metric_are_looked_at_as_they_are_behind_the_steps() {
    check(
        "[[step]]\nanonymize.drop = [\"note\"]\n[[metric]]\nname = \"a\"\nkey = \"email\"\nvalue = \"note\"\nwindow = \"1m\"\n",
        expect![[r#"
            pipeline.toml:11:7: warning: `email` looks personal, and no step anonymizes it
               |
            11 | key = "email"
               |       ^^^^^^^
               = add `anonymize.hmac = ["email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["email"]`
            pipeline.toml:12:9: warning: the metric `a` finds no `note`: `anonymize.drop` in line 8 removes it
               |
            12 | value = "note"
               |         ^^^^^^
               = metrics stand behind all steps: leave the field, or name another here
        "#]],
    );
}

#[test]
fn what_steps_do_in_arrays_is_followed_too() {
    check(
        "[[step]]\nanonymize.drop = [\"items[].sku\"]\n[[step]]\nenrich.url = { from = \"items[].sku\", into = \"items[].page\" }\n",
        expect![[r#"
            pipeline.toml:10:23: warning: `enrich.url` finds no `items[].sku`: `anonymize.drop` in line 8 removes it
               |
            10 | enrich.url = { from = "items[].sku", into = "items[].page" }
               |                       ^^^^^^^^^^^^^
               = put this step before that one, or take `items[].sku` out here
        "#]],
    );
    check(
        "[[step]]\nclean.rename = { \"people[].email\" = \"people[].note\" }\n",
        expect![[r#"
            pipeline.toml:8:37: warning: `people[].note` holds what `people[].email` held, by `clean.rename` in line 8, and no step anonymizes it
              |
            8 | clean.rename = { "people[].email" = "people[].note" }
              |                                     ^^^^^^^^^^^^^^^
              = add `anonymize.hmac = ["people[].note"]` or another anonymize step behind it; if it is nobody's, say so: `[check]`, `allow = ["people[].note"]`
        "#]],
    );
    check(
        "[[step]]\nenrich.constant = { \"people[].email\" = \"x@example.com\" }\n[[step]]\nclean.require = [\"people[].email\"]\n",
        expect![[""]],
    );
    // Where `people` is an array, there is nothing at `people.email`.
    check(
        "[[step]]\nclean.default = { \"people[].email\" = \"none\" }\n[[step]]\nanonymize.hmac = [\"people.email\"]\n",
        expect![[r#"
            pipeline.toml:8:19: warning: `people[].email` looks personal, and no step anonymizes it
              |
            8 | clean.default = { "people[].email" = "none" }
              |                   ^^^^^^^^^^^^^^^^
              = add `anonymize.hmac = ["people[].email"]` or another anonymize step; if it is nobody's, say so: `[check]`, `allow = ["people[].email"]`
        "#]],
    );
}

#[test]
fn a_filter_that_hangs_on_nothing_is_told() {
    check(
        "[[step]]\nfilter.keep = \"true\"\n",
        expect![[r#"
        pipeline.toml:8:15: warning: `filter.keep` lets every event pass
          |
        8 | filter.keep = "true"
          |               ^^^^^^
          = it names no field: name the one that it is to hang on, or take it out
    "#]],
    );
    check(
        "[[step]]\nfilter.drop = \"1 == 1\"\n",
        expect![[r#"
        pipeline.toml:8:15: warning: `filter.drop` drops every event
          |
        8 | filter.drop = "1 == 1"
          |               ^^^^^^^^
          = it names no field: name the one that it is to hang on, or take it out
    "#]],
    );
    check(
        "[[step]]\nfilter.keep = \"country != 'DE' || country != 'CH'\"\n",
        expect![[r#"
        pipeline.toml:8:15: warning: `filter.keep` lets every event pass
          |
        8 | filter.keep = "country != 'DE' || country != 'CH'"
          |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          = look at `||` and `&&`: `x != 1 || x != 2` is true of any `x`, and `x == 1 && x == 2` of none
    "#]],
    );
    check(
        "[[step]]\nfilter.drop = \"price > 1 && (country == 'DE' && t == 'x' && country == 'CH')\"\n",
        expect![[r#"
        pipeline.toml:8:15: warning: `filter.drop` lets every event pass
          |
        8 | filter.drop = "price > 1 && (country == 'DE' && t == 'x' && country == 'CH')"
          |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          = look at `||` and `&&`: `x != 1 || x != 2` is true of any `x`, and `x == 1 && x == 2` of none
    "#]],
    );
    check(
        "[[step]]\nwhen = \"price > 1 && false\"\nclean.trim = [\"a\"]\n",
        expect![[r#"
        pipeline.toml:8:8: warning: this is true of no event, so `clean.trim` never works
          |
        8 | when = "price > 1 && false"
          |        ^^^^^^^^^^^^^^^^^^^^
          = look at `||` and `&&`: `x != 1 || x != 2` is true of any `x`, and `x == 1 && x == 2` of none
    "#]],
    );
    check(
        "[[step]]\nwhen = \"true\"\nclean.trim = [\"a\"]\n",
        expect![[r#"
        pipeline.toml:8:8: warning: this is true of every event, and says nothing
          |
        8 | when = "true"
          |        ^^^^^^
          = it names no field: name the one that it is to hang on, or take it out
    "#]],
    );
    check(
        "[[metric]]\nname = \"sales\"\nwindow = \"1m\"\nwhen = \"false\"\n",
        expect![[r#"
        pipeline.toml:10:8: warning: this is true of no event, so `sales` counts none
           |
        10 | when = "false"
           |        ^^^^^^^
           = it names no field: name the one that it is to hang on, or take it out
    "#]],
    );
    for (step, told) in [
        ("filter.keep = \"false\"", "`filter.keep` drops every event"),
        ("filter.drop = \"!(1 in [1])\"", "`filter.drop` lets every event pass"),
        ("filter.drop = \"price > 1 || true\"", "`filter.drop` drops every event"),
        ("filter.keep = \"true ? true : price > 1\"", "`filter.keep` lets every event pass"),
        ("when = \"price > 1\"\nfilter.drop = \"false\"", "`filter.drop` lets every event pass"),
        ("when = \"true\"\nfilter.drop = \"true\"", "`filter.drop` drops every event"),
        (
            "when = \"false\"\nfilter.drop = \"true\"",
            "this is true of no event, so `filter.drop` never works",
        ),
    ] {
        let told = format!(": warning: {told}\n");
        let warnings = warnings(&format!("{EVENT}{IP}[[step]]\n{step}\n"));
        assert!(warnings.contains(&told) && warnings.matches("warning").count() == 1, "{step}: {warnings}");
    }
    for step in [
        "when = \"price > 1\"\nfilter.drop = \"true\"",
        "when = \"price > 1\"\nfilter.keep = \"false\"",
        "filter.keep = \"country == 'DE' || country == 'CH'\"",
        "filter.keep = \"country != 'DE' && country != 'CH'\"",
        "filter.keep = \"country != 'DE' || land != 'CH'\"",
        "filter.keep = \"country != 'DE' || country != 'DE'\"",
        "filter.keep = \"price\"",
        "enrich.compute = { n = \"1 + 1\", m = \"null\" }",
    ] {
        assert_eq!(warnings(&format!("{EVENT}{IP}[[step]]\n{step}\n")), "", "{step}");
    }
}

#[test]
fn a_field_is_pointed_at_where_an_expression_names_it() {
    let gone = "[[step]]\nanonymize.drop = [\"data.price\", \"user-id\"]\n";
    check(
        &format!("{gone}[[step]]\nfilter.keep = \"'data.price' != t && data['price'] > 1\"\n"),
        expect![[r#"
            pipeline.toml:10:37: warning: `filter.keep` finds no `data.price`: `anonymize.drop` in line 8 removes it
               |
            10 | filter.keep = "'data.price' != t && data['price'] > 1"
               |                                     ^^^^^^^^^^^^^
               = put this step before that one, or take `data.price` out here
        "#]],
    );
    check(
        &format!(
            "{gone}[[step]]\nfilter.keep = \"\"\"\n  // data.price\n  t != \\\"data.price\\\" &&\n  has(data.price)\n\"\"\"\n"
        ),
        expect![[r#"
            pipeline.toml:13:7: warning: `filter.keep` finds no `data.price`: `anonymize.drop` in line 8 removes it
               |
            13 |   has(data.price)
               |       ^^^^^^^^^^
               = put this step before that one, or take `data.price` out here
        "#]],
    );
    check(
        &format!("{gone}[[step]]\nwhen = \"t == 'ü' && `user-id` == 'user-id'\"\nclean.trim = [\"a\"]\n"),
        expect![[r#"
        pipeline.toml:10:21: warning: `clean.trim` finds no `user-id`: `anonymize.drop` in line 8 removes it
           |
        10 | when = "t == 'ü' && `user-id` == 'user-id'"
           |                     ^^^^^^^^^
           = put this step before that one, or take `user-id` out here
    "#]],
    );
    check(
        &format!(
            "{gone}[[metric]]\nname = \"sales\"\nwindow = \"1m\"\nwhen = 't == \"x\" && data.price > 1'\n"
        ),
        expect![[r#"
        pipeline.toml:12:21: warning: the metric `sales` finds no `data.price`: `anonymize.drop` in line 8 removes it
           |
        12 | when = 't == "x" && data.price > 1'
           |                     ^^^^^^^^^^
           = metrics stand behind all steps: leave the field, or name another here
    "#]],
    );
}

#[test]
fn words_of_other_languages_are_fields_here() {
    check(
        "[[step]]\nfilter.keep = \"active == True && `None` == 1\"\n",
        expect![[r#"
        pipeline.toml:8:26: warning: `True` is the field of this name, which is null where an event has none
          |
        8 | filter.keep = "active == True && `None` == 1"
          |                          ^^^^
          = CEL writes `true`; if there is such a field, say so: `[check]`, `allow = ["True"]`
        pipeline.toml:8:34: warning: `None` is the field of this name, which is null where an event has none
          |
        8 | filter.keep = "active == True && `None` == 1"
          |                                  ^^^^^^
          = CEL writes `null`; if there is such a field, say so: `[check]`, `allow = ["None"]`
    "#]],
    );
    check("[[step]]\nfilter.keep = \"price != NULL\"\n[check]\nallow = [\"NULL\"]\n", expect![[""]]);
}
