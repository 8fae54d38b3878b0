//! The batches of a table's stream, as Lambda hands them over.

use millrace_core::change::{Change, Item, Kind};
use millrace_core::metric::Kept;
use millrace_core::quarantine::{NO_CHANGE, Reject};
use millrace_core::record::Source;
use millrace_core::time::Micros;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A batch of a table's stream. Lambda does not mix shards in it, but does not tell the shard either.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html#events-sample-dynamodb>
#[derive(Debug, Deserialize)]
pub struct TableEvent {
    #[serde(rename = "Records", default)]
    records: Vec<Box<RawValue>>,
    #[serde(default)]
    window: Option<IgnoredAny>,
    #[serde(default)]
    state: Option<Kept>,
    #[serde(rename = "shardId", default)]
    shard: Option<String>,
    #[serde(rename = "isFinalInvokeForWindow", default)]
    is_final: bool,
    #[serde(rename = "isWindowTerminatedEarly", default)]
    is_early: bool,
    #[serde(rename = "givenUp", default)]
    given_up: Option<GivenUp>,
}

/// The batch that was given up, where records of it are redriven: `redrive` says so.
#[derive(Debug, Deserialize)]
pub struct GivenUp {
    /// The shard.
    pub shard: String,
    /// The last record's sequence number.
    pub last: String,
}

/// The part of a tumbling window that an invocation is for.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html>
#[derive(Debug)]
pub struct Window<'a> {
    /// What the invocations before it answered, as their state.
    pub state: Cow<'a, Kept>,
    /// The shard, which is told here alone.
    pub shard: &'a str,
    /// Whether the state goes after this invocation: the window is over, or the state too large for it.
    pub ends: bool,
}

/// A record of the stream.
#[derive(Debug)]
pub struct TableRecord<'a> {
    /// Where it stands in its shard; empty where it does not say so.
    pub sequence: String,
    /// When the change was made; none where it does not say so.
    pub at: Option<Micros>,
    /// The change, or why it is none.
    pub change: Result<Change, Reject>,
    /// All of it, as it came.
    pub payload: &'a str,
}

impl TableEvent {
    /// The table, and its stream's label in the shard's place; none where there are no records.
    /// The ARN is `arn:aws:dynamodb:<region>:<account>:table/<table>/stream/<label>`.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        let arn = read::<Arn<'_>>(self.records.first()?.get()).map(|arn| arn.arn).unwrap_or_default();
        let label = arn.rsplit('/').next().unwrap_or_default();
        Some(Source { stream: crate::source::name_of(&arn), shard: label.replace(':', "-") })
    }

    /// The tumbling window that it is for; none where the event source mapping has none, or where it is redriven.
    #[must_use]
    pub fn window(&self) -> Option<Window<'_>> {
        self.window.as_ref()?;
        Some(Window {
            state: self.state.as_ref().map_or_else(Cow::default, Cow::Borrowed),
            shard: self.shard.as_deref().unwrap_or_default(),
            ends: self.is_final || self.is_early,
        })
    }

    /// The batch that the records were given up with; none where it is not redriven.
    #[must_use]
    pub fn given_up(&self) -> Option<&GivenUp> {
        self.given_up.as_ref()
    }

    /// The records, in the shard's order.
    pub fn records(&self) -> impl Iterator<Item = TableRecord<'_>> {
        self.records.iter().map(|record| TableRecord::read(record.get()))
    }
}

#[derive(Deserialize)]
struct Arn<'a> {
    #[serde(rename = "eventSourceARN", borrow)]
    arn: Cow<'a, str>,
}

/// A record. What is in the images is read last, so that one which is bad there still has its place and time.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Record<'a> {
    #[serde(rename = "eventID")]
    event_id: Option<String>,
    #[serde(borrow)]
    event_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_identity: Option<Identity<'a>>,
    #[serde(borrow)]
    dynamodb: Detail<'a>,
}

/// Who made a change, where it was no client.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Identity<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    principal_id: Cow<'a, str>,
}

impl Identity<'_> {
    /// Whether the table deleted the item itself, since its time to live was over.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html>
    fn is_expiry(&self) -> bool {
        self.r#type == "Service" && self.principal_id == "dynamodb.amazonaws.com"
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Detail<'a> {
    approximate_creation_date_time: Option<f64>,
    sequence_number: Option<String>,
    #[serde(borrow)]
    keys: Option<&'a RawValue>,
    #[serde(borrow)]
    new_image: Option<&'a RawValue>,
    #[serde(borrow)]
    old_image: Option<&'a RawValue>,
}

impl<'a> TableRecord<'a> {
    fn read(payload: &'a str) -> Self {
        match read::<Record<'_>>(payload) {
            Ok(record) => Self {
                sequence: record.dynamodb.sequence_number.clone().unwrap_or_default(),
                at: record.dynamodb.approximate_creation_date_time.and_then(Micros::read_number),
                change: record.change(),
                payload,
            },
            Err(place) => {
                let why = no_change(format!("it is not made as a table's change is, near {place}"));
                Self { sequence: String::new(), at: None, change: Err(why), payload }
            }
        }
    }
}

impl Record<'_> {
    fn change(self) -> Result<Change, Reject> {
        let lacks = |what: &str| no_change(format!("it has no `{what}`"));
        let is_expiry = self.user_identity.is_some_and(|who| who.is_expiry());
        let detail = self.dynamodb;
        let kind = match self.event_name.as_deref() {
            Some("INSERT") => Kind::Insert,
            Some("MODIFY") => Kind::Modify,
            Some("REMOVE") if is_expiry => Kind::Expire,
            Some("REMOVE") => Kind::Remove,
            _ => return Err(no_change("its `eventName` is none of INSERT, MODIFY and REMOVE")),
        };
        let at = detail.approximate_creation_date_time.and_then(Micros::read_number);
        let sequence = detail.sequence_number.filter(|sequence| !sequence.is_empty());
        // An image without attributes shows nothing of the item, which has its keys at least.
        let image = |name: &str, json: Option<&RawValue>| {
            let Some(json) = json else { return Ok(None) };
            let item = read::<Item>(json.get()).map_err(|place| {
                no_change(format!("`{name}` has what is no attribute value, near {place}"))
            })?;
            Ok(Some(item).filter(|item| !item.is_empty()))
        };
        Ok(Change {
            id: self.event_id.ok_or_else(|| lacks("eventID"))?,
            kind,
            at: at.ok_or_else(|| lacks("ApproximateCreationDateTime"))?,
            sequence: sequence.ok_or_else(|| lacks("SequenceNumber"))?,
            keys: image("Keys", detail.keys)?.unwrap_or_default(),
            new: image("NewImage", detail.new_image)?,
            old: image("OldImage", detail.old_image)?,
        })
    }
}

fn no_change(detail: impl Into<Cow<'static, str>>) -> Reject {
    Reject::new("decode", NO_CHANGE, detail)
}

/// Reads JSON, or says where it is not so. serde's own words might repeat a value.
fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn record() -> Value {
        json!({
            "eventID": "e1", "eventName": "REMOVE", "eventSourceARN": "arn:aws:dynamodb:us-east-1:1:table/orders/stream/2026-11-20T12:00:00.000",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_795_179_908, "SequenceNumber": "111", "StreamViewType": "KEYS_ONLY",
                "Keys": {"orderId": {"S": "o-1"}},
            },
        })
    }

    fn event(record: &Value) -> TableEvent {
        serde_json::from_value(json!({"Records": [record]})).unwrap()
    }

    /// What is wrong with a record, and where it stood.
    fn wrong(change: impl FnOnce(&mut Value)) -> (String, String) {
        let mut record = record();
        change(&mut record);
        let event = event(&record);
        let wrong = event.records().next().unwrap();
        assert_eq!(wrong.payload, record.to_string());
        (wrong.sequence, wrong.change.unwrap_err().to_string())
    }

    #[test]
    fn a_removal_by_the_table_is_told_from_one_by_a_client() {
        let kind = |who: Value| {
            let mut record = record();
            record["userIdentity"] = who;
            event(&record).records().next().unwrap().change.unwrap().kind
        };
        assert_eq!(kind(Value::Null), Kind::Remove);
        assert_eq!(kind(json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"})), Kind::Expire);
        assert_eq!(kind(json!({"type": "Service", "principalId": "another.amazonaws.com"})), Kind::Remove);
        assert_eq!(kind(json!({"type": "User", "principalId": "dynamodb.amazonaws.com"})), Kind::Remove);
        assert_eq!(kind(json!({})), Kind::Remove);
    }

    #[test]
    fn a_record_without_images_is_a_change_of_its_keys() {
        let mut without = record();
        for images in [json!({}), json!({"NewImage": null, "OldImage": {}})] {
            without["dynamodb"].as_object_mut().unwrap().extend(images.as_object().unwrap().clone());
            let event = event(&without);
            let change = event.records().next().unwrap().change.unwrap();
            assert_eq!((change.keys.len(), change.new, change.old), (1, None, None));
        }
        without["dynamodb"].as_object_mut().unwrap().remove("Keys");
        assert!(event(&without).records().next().unwrap().change.unwrap().keys.is_empty());
    }

    #[test]
    fn what_is_no_change_names_the_place_and_no_value() {
        let no = |detail: &str| format!("decode: no_change: {detail}");
        let lacks = |what: &str| no(&format!("it has no `{what}`"));
        let placed = |why: String| ("111".to_owned(), why);
        assert_eq!(wrong(|r| r["eventID"] = Value::Null), placed(lacks("eventID")));
        assert_eq!(
            wrong(|r| r["eventName"] = json!("DROP")),
            placed(no("its `eventName` is none of INSERT, MODIFY and REMOVE"))
        );
        assert_eq!(
            wrong(|r| r["dynamodb"]["SequenceNumber"] = Value::Null),
            (String::new(), lacks("SequenceNumber"))
        );
        assert_eq!(
            wrong(|r| r["dynamodb"]["ApproximateCreationDateTime"] = Value::Null),
            placed(lacks("ApproximateCreationDateTime"))
        );
        let secret = "ann@example.com";
        for value in
            [json!({"N": secret}), json!({"X": secret}), json!(secret), json!({"B": secret}), json!({"S": 7})]
        {
            let (sequence, why) = wrong(|r| r["dynamodb"]["NewImage"] = json!({"email": value}));
            assert_eq!(sequence, "111");
            assert!(
                why.starts_with(
                    "decode: no_change: `NewImage` has what is no attribute value, near line 1 column"
                ),
                "{why}"
            );
            assert!(!why.contains("ann"), "{why}");
        }
        for odd in
            [json!({"dynamodb": 7}), json!({"dynamodb": {"SequenceNumber": 7}}), json!("ann"), Value::Null]
        {
            let (sequence, why) = wrong(|r| *r = odd.clone());
            assert!(why.starts_with("decode: no_change: it is not made"), "{why} of {odd}");
            assert_eq!(sequence, "");
        }
        assert_eq!(
            wrong(|r| drop(r.as_object_mut().unwrap().remove("dynamodb"))).1,
            lacks("ApproximateCreationDateTime")
        );
    }

    #[test]
    fn the_source_is_the_table_and_the_label_of_its_stream() {
        let source = event(&record()).source().unwrap();
        assert_eq!((source.stream.as_str(), source.shard.as_str()), ("orders", "2026-11-20T12-00-00.000"));
        assert_eq!(event(&json!(7)).source().unwrap().stream, "");
        assert!(serde_json::from_str::<TableEvent>("{}").unwrap().source().is_none());
    }
}
