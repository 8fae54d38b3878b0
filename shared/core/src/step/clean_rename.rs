//! `clean.rename`: give fields other names, or other places.
//!
//! ```toml
//! clean.rename = { user_id = "userId", "props.price" = "price" }
//! ```
//! Works in the order of the file. A field goes with all that is in it; one that is missing stays missing, and null goes
//! as it is. What stood at the new name is replaced, and what stands in the way to it and is no object makes room.
//! Within one object the field keeps its place. Objects that are left empty go. Each name is one field; what stands in an
//! array cannot be renamed.

use super::settings::{Entries, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, Path};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Rename(Vec<(Path, Path)>);

impl Step for Rename {
    const NAME: &'static str = "clean.rename";
    type Settings = Entries<Path, Path>;

    fn compile(Entries(fields): Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        if let Some((path, _)) = fields.iter().find(|(old, new)| old == new) {
            return Err(Mistake::new(format!("`{path}` is its name already")));
        }
        some(fields, "field").map(Self)
    }

    fn touches(&self) -> Touches {
        Touches {
            reads: self.0.iter().map(|(old, _)| old.clone().into()).collect(),
            writes: self.0.iter().map(|(_, new)| new.clone()).collect(),
            carries: self.0.iter().map(|(old, new)| (old.clone().into(), new.clone())).collect(),
            removes: self.0.iter().map(|(old, _)| old.clone().into()).collect(),
            ..Touches::default()
        }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for (old, new) in &self.0 {
            let Some(id) = event.find(old) else { continue };
            if old.is_beside(new) {
                event.rename(id, new.last());
            } else {
                event.move_to(id, new);
            }
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, edits, refuse};
    use expect_test::expect;

    #[test]
    fn fields_get_other_names_and_places() {
        check::<Rename>(
            r#"{ user_id = "userId", "props.price" = "price", "props.a" = "props.é", "x" = "data.x.y" }"#,
            r#"{"user_id":7.10,"props":{"a":[1,{"b":2}],"price":"12"},"x":null,"z":1}"#,
            &expect![[
                r#"{"userId":7.10,"props":{"é":[1,{"b":2}]},"z":1,"price":"12","data":{"x":{"y":null}}}"#
            ]],
        );
    }

    #[test]
    fn the_new_name_is_replaced_and_the_old_one_gone() {
        check::<Rename>(r#"{ a = "b" }"#, r#"{"b":1,"a":2}"#, &expect![[r#"{"b":2}"#]]);
        check::<Rename>(r#"{ a = "b.c" }"#, r#"{"b":"text","a":2}"#, &expect![[r#"{"b":{"c":2}}"#]]);
        check::<Rename>(r#"{ a = "a.b" }"#, r#"{"a":1}"#, &expect![[r#"{"a":{"b":1}}"#]]);
        check::<Rename>(r#"{ "a.b" = "a" }"#, r#"{"a":{"b":1,"c":2}}"#, &expect![[r#"{"a":1}"#]]);
        check::<Rename>(r#"{ "a.b" = "c" }"#, r#"{"a":{"b":1}}"#, &expect![[r#"{"c":1}"#]]);
    }

    #[test]
    fn the_order_is_that_of_the_file() {
        check::<Rename>(r#"{ a = "b", b = "c" }"#, r#"{"a":1,"b":2}"#, &expect![[r#"{"c":1}"#]]);
        check::<Rename>(
            r#"{ old = "new", older = "new" }"#,
            r#"{"older":1,"old":2}"#,
            &expect![[r#"{"new":1}"#]],
        );
    }

    #[test]
    fn what_is_missing_is_no_change() {
        assert_eq!(edits::<Rename>(r#"{ a = "b", "c.d" = "e" }"#, r#"{"b":1,"c":[{"d":1}]}"#), 0);
        refuse::<Rename>("{}", &expect!["no field is named, so the step does nothing"]);
        refuse::<Rename>(r#"{ "a.b" = "a.b" }"#, &expect!["`a.b` is its name already"]);
        refuse::<Rename>(
            r#"{ "items[].a" = "b" }"#,
            &expect!["`items[].a` may be many fields, and this wants one, like `data.x`"],
        );
    }
}
