//! A Kinesis stream: records are put to it, and its shards have parents.

use crate::clients::within;
use crate::failed;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_types::SdkConfig;
use millrace_core::port::{Entry, Error, Kind, Lineage, Put, PutRecords};
use std::time::Duration;

/// A stream, by name.
#[derive(Debug, Clone)]
pub struct Stream {
    client: Client,
    name: String,
}

impl Stream {
    /// The stream of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        let config = Builder::from(config).timeout_config(within(Duration::from_secs(3))).build();
        Self { client: Client::from_conf(config), name }
    }
}

impl PutRecords for Stream {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        let what = || format!("put {} records to the stream {}", entries.len(), self.name);
        let wanted = |_| Error { what: what(), kind: Kind::Permanent, source: None };
        let records = entries.iter().map(|entry| {
            PutRecordsRequestEntry::builder()
                .partition_key(&entry.partition_key)
                .data(Blob::new(entry.data.as_slice()))
                .build()
        });
        let records = records.collect::<Result<_, _>>().map_err(wanted)?;
        let call = self.client.put_records().stream_name(&self.name).set_records(Some(records));
        let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
        let put = |code: Option<&str>| match code {
            None => Put::Done,
            Some("ProvisionedThroughputExceededException") => Put::Throttled,
            Some(_) => Put::Failed,
        };
        Ok(answer.records().iter().map(|record| put(record.error_code())).collect())
    }
}

impl Stream {
    /// All shards that the stream still knows, each with its parents.
    async fn shards(&self) -> Result<Vec<(String, Vec<String>)>, Error> {
        let what = || format!("list the shards of the stream {}", self.name);
        let mut token = None;
        let mut shards = Vec::new();
        loop {
            // The next page is asked for without the stream's name.
            let call = match token.take() {
                None => self.client.list_shards().stream_name(&self.name),
                Some(token) => self.client.list_shards().next_token(token),
            };
            let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
            let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
            shards.extend(answer.shards().iter().map(|shard| {
                let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
                (shard.shard_id().to_owned(), parents.into_iter().flatten().map(str::to_owned).collect())
            }));
            match answer.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => return Ok(shards),
            }
        }
    }
}

impl Lineage for Stream {
    async fn parents(&self, shard: &str) -> Result<Vec<String>, Error> {
        let shards = self.shards().await?;
        Ok(shards
            .into_iter()
            .find(|(known, _)| known == shard)
            .map(|(_, parents)| parents)
            .unwrap_or_default())
    }

    async fn children(&self, shard: &str) -> Result<Vec<String>, Error> {
        let is_of =
            |(child, parents): (String, Vec<String>)| parents.iter().any(|of| of == shard).then_some(child);
        Ok(self.shards().await?.into_iter().filter_map(is_of).collect())
    }
}
