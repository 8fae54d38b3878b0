//! What is told of a file in the end: its manifest, and of one that is bad the quarantine.

use crate::error::Error;
use crate::file::File;
use crate::ledger::Plan;
use crate::queue::OWNER;
use crate::{Answer, Cause, Deps};
use millrace_core::account::{Counts, Tally};
use millrace_core::port::{self, Clock, ObjectStore};
use millrace_core::quarantine::{self, Entry, Reject};
use millrace_core::time::Micros;
use millrace_core::transformer::put_object;
use serde::Serialize;
use serde_json::{Value, json};
use std::num::NonZeroUsize;

/// The longest key that S3 takes, bytes.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
const KEY_MAX: usize = 1024;

/// The longest subject that SNS takes, characters.
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const SUBJECT_MAX: usize = 100;

/// What was brought through in an invocation, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Rows, and what the steps did.
    #[serde(flatten)]
    pub counts: Counts,
    /// Files of the queue that cannot be read, which no state machine tells of. 0 is not written, for a metric costs money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<NonZeroUsize>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    state: &'static str,
    /// Why it failed: a kind of error, and its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    bucket: String,
    key: String,
    etag: String,
    bytes: u64,
    sha256: Option<String>,
    format: Option<&'static str>,
    packing: Option<Value>,
    dropped_at: String,
    /// The lanes of its ranges begin so; the quarantine has them as its stream.
    stream: String,
    ranges: usize,
    rows: Tally,
}

impl Manifest {
    pub(crate) fn new(file: &File, plan: Option<&Plan>, rows: Tally, why: Option<(String, String)>) -> Self {
        let (reason, detail) = why.unzip();
        Self {
            state: if reason.is_some() { "failed" } else { "done" },
            reason,
            detail,
            bucket: file.bucket.clone(),
            key: file.object.key.clone(),
            etag: file.object.etag.clone(),
            bytes: file.object.size,
            sha256: plan.map(|plan| plan.sha256.clone()),
            format: plan.map(|plan| plan.format.shape.name()),
            packing: plan.map(|plan| json!(plan.format.packing)),
            dropped_at: file.at.rfc3339(),
            stream: file.lane("").stream,
            ranges: plan.map_or(0, |plan| plan.ranges.len()),
            rows,
        }
    }

    pub(crate) fn told(&self) -> Answer {
        let name = self.key.rsplit('/').next().unwrap_or_default();
        // A subject is one line of ASCII.
        let name: String =
            name.chars().map(|sign| if sign.is_ascii_graphic() { sign } else { '_' }).collect();
        let mut subject = format!("Millrace: {} {name}", self.state);
        subject.truncate(SUBJECT_MAX - 1);
        Answer::Told { subject, message: self.json() }
    }

    /// A struct of strings and numbers cannot refuse.
    fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// What an error of the state machine says: its kind, and its text.
pub(crate) fn cause(cause: &Cause) -> (String, String) {
    let told = serde_json::from_str::<Value>(&cause.cause).ok();
    let text = told.as_ref().and_then(|told| told.get("errorMessage")?.as_str());
    (cause.error.clone(), text.unwrap_or(&cause.cause).to_owned())
}

impl<P, S: ObjectStore, K, C: Clock, O: ObjectStore, T, Q> Deps<P, S, K, C, O, T, Q> {
    /// Puts the manifest beside the inbox, under the file's own name. Where no state machine tells of it the name has the state
    /// in it, for a rule sees no more of an object.
    pub(crate) async fn put_manifest(
        &self,
        file: &File,
        run: &str,
        manifest: &Manifest,
        deadline: Micros,
    ) -> Result<(), Error> {
        let key = &file.object.key;
        let name = key.split_once('/').map_or(key.as_str(), |(_, name)| name);
        let end = if run == OWNER { format!(".{}.json", manifest.state) } else { ".json".to_owned() };
        let mut key = format!("manifests/{name}/{}{end}", file.id);
        if key.len() > KEY_MAX {
            key = format!("manifests/{}{end}", file.id);
        }
        let (body, clock) = (manifest.json().into_bytes(), &self.transformer.clock);
        let put = put_object(&self.inbox, &key, body, clock, deadline).await;
        // A key may hold personal data, and so may what the store says of it.
        let what = "put a manifest beside the inbox".to_owned();
        Ok(put.map_err(|why| port::Error { what, source: None, ..why })?)
    }

    /// Puts a file that cannot be read into the quarantine: the place where it lies, and what is wrong. It stays in the
    /// inbox as it is. Hands back the refusal.
    pub(crate) async fn put_away(&self, file: &File, why: Reject, deadline: Micros) -> Result<Answer, Error> {
        let place = json!({
            "bucket": file.bucket, "key": file.object.key, "etag": file.object.etag, "size": file.object.size,
        });
        let payload = place.to_string().into_bytes();
        let entry = Entry {
            reject: why.clone(),
            sequence: "0".into(),
            index: None,
            at: file.at,
            may_be_known: false,
            payload,
        };
        if let Some(page) = quarantine::page("files", &file.lane("file"), &[entry]) {
            let (bucket, clock) = (&self.transformer.quarantine, &self.transformer.clock);
            put_object(bucket, &page.key, page.body, clock, deadline).await?;
        }
        Err(Error::Refused(why))
    }
}
