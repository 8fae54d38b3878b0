//! `clean.rename`: give fields other names, or other places.
//!
//! ```toml
//! clean.rename = { user_id = "userId", "props.price" = "price" }
//! ```
//! Works in the order of the file. A field goes with all that is in it; one that is missing stays missing, and null goes
//! as it is. What stood at the new name is replaced, and what stands in the way to it and is no object makes room.
//! Within one object the field keeps its place. Objects that are left empty go.
//!
//! ```toml
//! clean.rename = { "items[].prod_id" = "items[].sku", "items[].prod.price" = "items[].price" }
//! ```
//! In arrays this is done in each element that is an object; from one element to another, or out of the array, nothing goes.

use super::settings::{Entries, FromInto, some};
use super::{Context, Step, Touches, Verdict};
use crate::event::{Event, ItemPath, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;

pub(crate) struct Rename(Vec<FromInto>);

impl Step for Rename {
    const NAME: &'static str = "clean.rename";
    type Settings = Entries<ItemPath, ItemPath>;

    fn compile(Entries(fields): Self::Settings, _files: &dyn Files) -> Result<Self, Mistake> {
        let fields = some(fields, "field")?.into_iter().map(|(old, new)| {
            if old == new {
                return Err(Mistake::new(format!("`{}` is its name already", Pattern::from(old))));
            }
            FromInto::new(old, new)
        });
        fields.collect::<Result<_, _>>().map(Self)
    }

    fn touches(&self) -> Touches {
        let carries: Vec<_> = self.0.iter().map(FromInto::patterns).collect();
        let (old, new): (Vec<_>, Vec<_>) = carries.iter().cloned().unzip();
        Touches { reads: old.clone(), writes: new, carries, removes: old, ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        for fields in &mut self.0 {
            fields.each(event, |event, top, old, new| {
                match event.find_in(top, old) {
                    Some(id) if old.is_beside(new) => event.rename(id, new.last()),
                    Some(id) => event.move_in(top, id, new),
                    None => {}
                }
                Verdict::Keep
            });
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
        assert_eq!(edits::<Rename>(r#"{ "a[].b" = "a[].c" }"#, r#"{"a":[{"c":1},7],"b":[]}"#), 0);
        refuse::<Rename>(r#"{ "a[].b" = "a[].b" }"#, &expect!["`a[].b` is its name already"]);
        refuse::<Rename>(
            r#"{ "items[].a" = "b" }"#,
            &expect![
                "`items[].a` and `b` do not stand in the same element = up to the last `[]` both are the same, like `items[].sku` and `items[].product`"
            ],
        );
        refuse::<Rename>(
            r#"{ "a[].b[].c" = "a[].c" }"#,
            &expect![
                "`a[].b[].c` and `a[].c` do not stand in the same element = up to the last `[]` both are the same, like `items[].sku` and `items[].product`"
            ],
        );
        refuse::<Rename>(
            r#"{ "**.a" = "**.b" }"#,
            &expect![
                "`**.a` goes any way down, and this wants one field, of the event or of each element, like `data.x` or `items[].sku`"
            ],
        );
        refuse::<Rename>(
            r#"{ "a[]" = "b[]" }"#,
            &expect!["`a[]` is each element itself, and this wants a field in it, like `items[].sku`"],
        );
    }

    #[test]
    fn in_arrays_it_is_done_in_each_element() {
        check::<Rename>(
            r#"{ "a[].b" = "a[].c", "a[].x.y" = "a[].z", "m[][].k" = "m[][].o.k" }"#,
            r#"{"a":[{"b":1,"d":2},{"c":0,"b":{"q":[]}},7,{"x":{"y":3}},[{"b":1}],{}],"m":[[{"k":1}],{"k":2}]}"#,
            &expect![[
                r#"{"a":[{"c":1,"d":2},{"c":{"q":[]}},7,{"z":3},[{"b":1}],{}],"m":[[{"o":{"k":1}}],{"k":2}]}"#
            ]],
        );
        check::<Rename>(
            r#"{ "o.a[].b.c" = "o.a[].b" }"#,
            r#"{"o":{"a":[{"b":{"c":1,"d":2}}]}}"#,
            &expect![[r#"{"o":{"a":[{"b":1}]}}"#]],
        );
    }
}
