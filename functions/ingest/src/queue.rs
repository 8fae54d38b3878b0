//! Messages of the inbox queue to RawStream: what SQS, SNS, `EventBridge` and `IoT` hand over.
//!
//! A message is events, or an envelope around them, which is told by marks that no event has by chance. What an envelope
//! says and the event does not is put into the event: the id above all, which is the same when the queue delivers a
//! message twice, so that `transform` knows it for a duplicate.
//!
//! **What cannot be read goes to RawStream as it came**, and `transform` puts it into the quarantine with the reason. What
//! Kinesis refuses stays in the queue: the answer names its messages, and they come again, whole, after the visibility timeout.

use crate::events::{self, Accepted, Stamp};
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage, SqsMessageAttribute};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_aws::source::BatchResponse;
use millrace_core::decode;
use millrace_core::event::{Event, New, Path};
use millrace_core::guard::Guard;
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Clock, Entry, PutRecords};
use millrace_core::publish::{Left, publish};
use millrace_core::time::Micros;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<P, C> {
    /// RawStream.
    pub raw: Guard<P>,
    /// The clock.
    pub clock: C,
    /// The pipeline's `[event]`.
    pub event: EventSettings,
}

/// What became of a batch's events: those that are not out come again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events in the batch.
    pub r#in: usize,
    /// Events now in RawStream.
    pub out: usize,
    /// Of these, what could not be read and went as it came, for the quarantine.
    pub unread: usize,
}

/// Handles one batch of messages.
pub async fn handle<P: PutRecords, C: Clock>(
    event: SqsEvent,
    deadline: Micros,
    deps: &Deps<P, C>,
) -> (BatchResponse, Tally) {
    let now = deps.clock.now();
    let parcels: Vec<_> =
        event.records.into_iter().map(|message| Parcel::pack(message, &deps.event, now)).collect();
    let entries = parcels.iter().flat_map(|parcel| parcel.entries.iter().cloned()).collect();
    let left = match publish(&deps.raw, entries, &deps.clock, deadline).await {
        Ok(()) => Vec::new(),
        Err(Left { entries, why }) => {
            tracing::warn!(
                records = entries.len(),
                why = why.chain(),
                "RawStream refuses, the messages come again"
            );
            entries
        }
    };
    let left: HashSet<_> = left.iter().map(|entry| (&entry.partition_key, &entry.data)).collect();
    let is_left = |entry: &Entry| left.contains(&(&entry.partition_key, &entry.data));
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for Parcel { id, entries, count, unread } in parcels {
        tally.r#in += count;
        if entries.iter().any(is_left) {
            failed.push(id);
        } else {
            tally.out += count;
            tally.unread += unread;
        }
    }
    (BatchResponse::failed(failed), tally)
}

/// A message's records.
struct Parcel {
    /// The message.
    id: String,
    entries: Vec<Entry>,
    /// How many events they have.
    count: usize,
    unread: usize,
}

impl Parcel {
    fn pack(message: SqsMessage, settings: &EventSettings, now: Micros) -> Self {
        let SqsMessage { message_id, body, attributes, message_attributes, .. } = message;
        let id = message_id.unwrap_or_default();
        let sent_at = attributes.get("SentTimestamp").and_then(|ms| ms.parse::<i64>().ok());
        let sent_at = sent_at.and_then(|ms| Micros::new(ms.checked_mul(1_000)?)).unwrap_or(now);
        let mut about = About::new(&id, sent_at);
        about.attributes(message_attributes.into_iter().map(|(name, attribute)| (name, text(attribute))));
        let payload = open(body.unwrap_or_default(), &mut about);
        let stamp = Stamp { received_at: sent_at, ip: "", user_agent: None, tenant: None };
        let (mut accepted, mut entries) = (Vec::new(), Vec::new());
        let mut as_it_is =
            |data: Vec<u8>| entries.push(Entry { partition_key: about.partition_key(&id), data });
        match decode::split(&payload) {
            Ok(pieces) => {
                let mut event = Event::default();
                for (index, piece) in pieces.enumerate() {
                    match about.accept(piece, index, &mut event, settings, &stamp) {
                        Ok(event) => accepted.push(event),
                        // `transform` looks again, and says in the quarantine why not.
                        Err(_) => as_it_is(events::unread(piece, &mut event)),
                    }
                }
            }
            Err(_) => as_it_is(payload.clone()),
        }
        let (unread, count) = (entries.len(), entries.len() + accepted.len());
        entries.extend(events::records(&accepted));
        Self { id, entries: entries.into_iter().map(events::fitting).collect(), count, unread }
    }
}

/// What is known of a message's events beside them.
struct About {
    id: String,
    kind: Option<String>,
    time: String,
    partition_key: Option<String>,
    /// Fields by name, and their JSON.
    fields: Vec<(&'static str, String)>,
}

impl About {
    fn new(id: &str, sent_at: Micros) -> Self {
        Self {
            id: id.to_owned(),
            kind: None,
            time: sent_at.rfc3339(),
            partition_key: None,
            fields: Vec::new(),
        }
    }

    fn field(&mut self, name: &'static str, value: &Value) {
        self.fields.push((name, value.to_string()));
    }

    fn attributes(&mut self, attributes: impl Iterator<Item = (String, String)>) {
        let attributes: BTreeMap<_, _> = attributes.collect();
        if !attributes.is_empty() {
            self.field("attributes", &json!(attributes));
        }
    }

    fn partition_key(&self, message: &str) -> String {
        self.partition_key.clone().unwrap_or_else(|| message.to_owned())
    }

    /// Takes an event of the message, of this place in it, or says why not.
    fn accept(
        &self,
        piece: &[u8],
        index: usize,
        event: &mut Event,
        settings: &EventSettings,
        stamp: &Stamp<'_>,
    ) -> Result<Accepted, String> {
        decode::event(piece, event).map_err(|why| why.detail.into_owned())?;
        if events::lacks_id(event, settings) {
            let id = if index == 0 { self.id.clone() } else { format!("{}-{index}", self.id) };
            event.put(&settings.id, New::Str(&id));
        }
        let mut default = |path: &Path, new: New<'_>| {
            if event.present(path).is_none() {
                event.put(path, new);
            }
        };
        if let Some(kind) = &self.kind {
            default(&settings.r#type, New::Str(kind));
        }
        default(&settings.time, New::Str(&self.time));
        for (name, json) in &self.fields {
            default(&Path::from_key(*name), New::Json(json));
        }
        let mut accepted = events::stamped(event, settings, stamp)?;
        if let Some(key) = &self.partition_key {
            accepted.partition_key.clone_from(key);
        }
        Ok(accepted)
    }
}

/// Takes what is around the events off, and notes what it says. Each envelope has a name in it that most events have not, so
/// that a plain message is searched for three names and not read three times.
fn open(body: String, about: &mut About) -> Vec<u8> {
    let mut body = body;
    let notification = Notification::read(&body);
    // What the message says by itself is of the carrier: of a dead letter that was redriven why it could not be delivered.
    let is_notified = notification.is_some();
    if let Some(notification) = notification {
        about.id = notification.id;
        about.time = notification.timestamp;
        about.fields.clear();
        about.field("topicArn", &notification.topic_arn.into());
        if let Some(subject) = notification.subject {
            about.field("subject", &subject.into());
        }
        let attributes = notification.attributes.unwrap_or_default();
        about.attributes(attributes.into_iter().map(|(name, attribute)| (name, attribute.value)));
        body = notification.message;
    }
    if let Some(event) = BusEvent::read(&body) {
        if !is_notified {
            about.fields.clear();
        }
        about.id = event.id;
        about.kind = Some(event.detail_type);
        about.time = event.time;
        about.field("source", &event.source.into());
        about.field("account", &event.account.into());
        about.field("region", &event.region.into());
        if !event.resources.is_empty() {
            about.field("resources", &json!(event.resources));
        }
        return event.detail.get().as_bytes().to_vec();
    }
    if let Some((letter, payload)) = DeviceLetter::read(&body) {
        tracing::warn!(
            rule = letter.rule_name,
            failures = letter.failures.len(),
            "an action of a device rule failed"
        );
        about.field("topic", &letter.topic.into());
        about.field("clientId", &letter.client_id.clone().into());
        about.partition_key = Some(letter.client_id).filter(|id| (1..=256).contains(&id.chars().count()));
        // `transform` would unpack it, and take what nobody looked at here. As text it goes to the quarantine.
        return if decode::is_packed(&payload) {
            letter.base64_original_payload.into_bytes()
        } else {
            payload
        };
    }
    body.into_bytes()
}

/// The text of an attribute of SQS; base64 where it is binary.
fn text(attribute: SqsMessageAttribute) -> String {
    let SqsMessageAttribute { string_value, binary_value, .. } = attribute;
    let binary = || binary_value.map(|data| BASE64_STANDARD.encode(&*data));
    string_value.or_else(binary).unwrap_or_default()
}

/// What SNS makes of a message where it does not deliver it raw.
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html#http-notification-json>
#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "MessageId")]
    id: String,
    #[serde(rename = "TopicArn")]
    topic_arn: String,
    #[serde(rename = "Subject")]
    subject: Option<String>,
    #[serde(rename = "Message")]
    message: String,
    #[serde(rename = "Timestamp")]
    timestamp: String,
    #[serde(rename = "MessageAttributes")]
    attributes: Option<HashMap<String, NotificationAttribute>>,
}

#[derive(Deserialize)]
struct NotificationAttribute {
    #[serde(rename = "Value")]
    value: String,
}

impl Notification {
    fn read(body: &str) -> Option<Self> {
        let read: Self = body.contains(r#""TopicArn""#).then(|| serde_json::from_str(body).ok())??;
        let is_topic = read.topic_arn.starts_with("arn:") && read.topic_arn.contains(":sns:");
        (read.kind == "Notification" && is_topic).then_some(read)
    }
}

/// What `EventBridge` hands over, a partner's events included.
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
#[derive(Deserialize)]
struct BusEvent<'a> {
    version: String,
    id: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    source: String,
    account: String,
    time: String,
    region: String,
    resources: Vec<String>,
    #[serde(borrow)]
    detail: &'a RawValue,
}

impl<'a> BusEvent<'a> {
    fn read(body: &'a str) -> Option<Self> {
        let read: Self = body.contains(r#""detail-type""#).then(|| serde_json::from_str(body).ok())??;
        (read.version == "0" && read.detail.get().starts_with('{')).then_some(read)
    }
}

/// What the error action of an `IoT` rule gets where another action of the rule failed.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceLetter {
    rule_name: String,
    topic: String,
    client_id: String,
    base64_original_payload: String,
    failures: Vec<Value>,
}

impl DeviceLetter {
    /// The letter, and what the device sent.
    fn read(body: &str) -> Option<(Self, Vec<u8>)> {
        let read: Self =
            body.contains(r#""base64OriginalPayload""#).then(|| serde_json::from_str(body).ok())??;
        let payload = BASE64_STANDARD.decode(&read.base64_original_payload).ok()?;
        Some((read, payload))
    }
}
