//! Changes of a DynamoDB table in, frames of CleanStream out.
//!
//! Each change becomes an event: the item's attributes as plain JSON, new image before old, and beside them the
//! pipeline's id, type (`orders.insert`) and time, and `change`, which says what happened. It then goes the way of any
//! event. A table's stream is a lane of its own. Nobody sends a change twice, so no ids are remembered.

mod attribute;

use aws_lambda_events::event::dynamodb::{Event as TableEvent, EventRecord};
use millrace_aws::source::{BatchResponse, name_of};
use millrace_aws::telemetry;
use millrace_core::account::Counts;
use millrace_core::event::{Event, New, Path};
use millrace_core::pipeline::{EventSettings, RECEIVED_AT};
use millrace_core::port::{Clock, ObjectStore, PutRecords, Secret};
use millrace_core::record::Source;
use millrace_core::time::Micros;
use millrace_core::transformer::Transformer;
use millrace_core::window::{Bounds, Memory};
use serde_json::{Map, Value, json};

/// Handles one batch of the stream of a table, which events know by this name.
pub async fn handle<P: PutRecords, S: ObjectStore, M: Memory, K: Secret, C: Clock>(
    event: TableEvent,
    table: &str,
    deadline: Micros,
    transformer: &mut Transformer<P, S, M, K, C>,
) -> (BatchResponse, Counts) {
    let Some(source) = event.records.first().map(source_of) else {
        return (BatchResponse::safe(), Counts::default());
    };
    let times = event.records.iter().map(arrived_at);
    let batch = Bounds {
        source: &source,
        first: event
            .records
            .first()
            .and_then(|record| record.change.sequence_number.as_deref())
            .unwrap_or_default(),
        arrived_at: times.clone().min().unwrap_or_default(),
        until: times.max().unwrap_or_default(),
        redriven: false,
    };
    if let Err(stuck) = transformer.open(batch, deadline, telemetry::key_stays).await {
        return (BatchResponse::after(Some(stuck)), Counts::default());
    }
    let settings = transformer.pipeline.event().clone();
    let mut run = transformer.begin(&source).scattered();
    for record in event.records {
        let sequence = record.change.sequence_number.clone().unwrap_or_default();
        let at = arrived_at(&record);
        let event = event_of(record, table, at, &settings);
        run.event(&sequence, at, event.to_string().as_bytes());
    }
    let out = transformer.deliver(&source, deadline).await;
    (BatchResponse::after(out.stuck), out.counts)
}

fn arrived_at(record: &EventRecord) -> Micros {
    Micros::new(record.change.approximate_creation_date_time.timestamp_micros()).unwrap_or(Micros::EPOCH)
}

/// The table, and its stream's label in the shard's place: Lambda does not tell the shard of a table's stream.
/// The ARN is `arn:aws:dynamodb:<region>:<account>:table/<table>/stream/<label>`.
fn source_of(record: &EventRecord) -> Source {
    let arn = record.event_source_arn.as_deref().unwrap_or_default();
    let label = arn.rsplit('/').next().unwrap_or_default();
    Source { stream: name_of(arn), shard: label.replace(':', "-") }
}

/// The event that a change makes.
///
/// `change` names the key attributes and leaves their values to the image, where the pipeline's steps find and
/// anonymize them. An attribute that has the place of one of the event's own fields moves into `change.image`.
fn event_of(record: EventRecord, table: &str, at: Micros, settings: &EventSettings) -> Event {
    let change = record.change;
    let mut keys: Vec<_> = change.keys.inner().keys().cloned().collect();
    keys.sort();
    let image = if change.new_image.inner().is_empty() { change.old_image } else { change.new_image };
    let attributes = change.keys.into_inner().into_iter().chain(image.into_inner());
    let fields: Map<_, _> = attributes.map(|(name, value)| (name, attribute::plain(value))).collect();
    let mut event = Event::read(&Value::Object(fields).to_string()).unwrap_or_default();

    let name = record.event_name.to_ascii_lowercase();
    let about = Path::from_key("change");
    let aside = Path::from_key("\0image");
    let own = [
        (&settings.id, json!(record.event_id)),
        (&settings.r#type, json!(format!("{table}.{name}"))),
        (&settings.time, json!(at.get())),
        (&Path::from_key(RECEIVED_AT), json!(at.get())),
        (&about, json!({"event": name, "table": table, "keys": keys, "sequence": change.sequence_number})),
    ];
    for (path, _) in &own {
        if let Some(taken) = event.find(path) {
            event.move_to(taken, &aside.join(&path.to_string()));
        }
    }
    for (path, value) in own {
        event.put(path, New::Json(&value.to_string()));
    }
    if let Some(moved) = event.find(&aside) {
        event.move_to(moved, &about.join("image"));
    }
    event
}
