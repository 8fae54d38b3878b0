//! `anonymize.keep_only`: take out all fields but these.
//!
//! ```toml
//! anonymize.keep_only = ["id", "eventType", "timestamp", "data.price", "items[].sku"]
//! ```
//! What a producer adds tomorrow does not reach the lake before somebody names it here. A field is kept with all that is
//! in it, and so are the objects on the way to it. An element of an array in which nothing is kept goes, so the others
//! move up. `receivedAt`, which ingest writes, stays whether it is named or not; the fields that `[event]` names have to
//! stand in the list, for without them an event goes to the quarantine.

use super::{Context, Step, Touches, Verdict, settings::some};
use crate::event::{Event, Id, Path, Pattern};
use crate::files::Files;
use crate::mistake::Mistake;
use crate::pipeline::RECEIVED_AT;

pub(crate) struct KeepOnly {
    fields: Vec<Pattern>,
    found: Vec<Id>,
    /// What is kept, in order.
    kept: Vec<Id>,
    /// What leads to it, in order.
    ways: Vec<Id>,
    /// What is still to be looked at.
    open: Vec<Id>,
    gone: Vec<Id>,
}

impl Step for KeepOnly {
    const NAME: &'static str = "anonymize.keep_only";
    type Settings = Vec<Pattern>;

    fn compile(fields: Vec<Pattern>, _files: &dyn Files) -> Result<Self, Mistake> {
        let mut fields = some(fields, "field")?;
        fields.push(Path::from_key(RECEIVED_AT).into());
        let (found, kept, ways, open, gone) = Default::default();
        Ok(Self { fields, found, kept, ways, open, gone })
    }

    fn touches(&self) -> Touches {
        let named = self.fields.split_last().map_or_else(Vec::new, |(_received_at, named)| named.to_vec());
        Touches { reads: named, keeps_only: Some(self.fields.clone()), ..Touches::default() }
    }

    fn apply(&mut self, event: &mut Event, _cx: &Context<'_>) -> Verdict {
        let Self { fields, found, kept, ways, open, gone } = self;
        kept.clear();
        for field in fields {
            event.find_all(field, found);
            kept.append(found);
        }
        kept.sort_unstable();
        ways.clear();
        for id in kept.iter() {
            ways.extend(std::iter::successors(event.parent(*id), |above| event.parent(*above)));
        }
        ways.sort_unstable();
        ways.dedup();
        gone.clear();
        open.push(event.root());
        while let Some(at) = open.pop() {
            for child in event.children(at).filter(|child| kept.binary_search(child).is_err()) {
                let leads = ways.binary_search(&child).is_ok();
                if leads { &mut *open } else { &mut *gone }.push(child);
            }
        }
        for id in gone.iter() {
            event.remove(*id);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{check, refuse};
    use expect_test::expect;

    #[test]
    fn all_but_the_fields_that_are_named_is_taken_out() {
        check::<KeepOnly>(
            r#"["id", "data.price", "user", "missing.too"]"#,
            r#"{"id":"a","email":"x","data":{"price":1,"note":"x"},"user":{"a":[{"b":1}]},"other":{"price":2},"receivedAt":7}"#,
            &expect![[r#"{"id":"a","data":{"price":1},"user":{"a":[{"b":1}]},"receivedAt":7}"#]],
        );
    }

    #[test]
    fn of_arrays_the_elements_go_in_which_nothing_is_kept() {
        check::<KeepOnly>(
            r#"["items[].sku", "m[][]"]"#,
            r#"{"items":[{"sku":1,"n":2},{"n":3},4,{"sku":[5,{"n":6}]}],"m":[[1,2],3,[]],"n":[1]}"#,
            &expect![[r#"{"items":[{"sku":1},{"sku":[5,{"n":6}]}],"m":[[1,2]]}"#]],
        );
    }

    #[test]
    fn a_pattern_may_go_any_way_down() {
        check::<KeepOnly>(
            r#"["**.id"]"#,
            r#"{"id":1,"a":{"b":{"id":2,"x":3},"x":[{"id":4},5]},"x":{}}"#,
            &expect![[r#"{"id":1,"a":{"b":{"id":2},"x":[{"id":4}]}}"#]],
        );
    }

    #[test]
    fn an_event_may_end_without_fields() {
        check::<KeepOnly>(r#"["id"]"#, r#"{"a":1,"b":{"c":[2]}}"#, &expect!["{}"]);
        check::<KeepOnly>(r#"["a.b"]"#, r#"{"a":"b","c":1}"#, &expect!["{}"]);
    }

    #[test]
    fn nothing_at_all_is_a_mistake() {
        refuse::<KeepOnly>("[]", &expect!["no field is named, so the step does nothing"]);
    }
}
