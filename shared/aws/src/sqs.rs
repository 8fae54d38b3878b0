//! An SQS queue to send messages to.

use crate::clients::within;
use crate::failed;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_types::SdkConfig;
use millrace_core::port::{Error, Queue};
use std::time::Duration;

/// A queue, by URL.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue at this URL.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        let config = Builder::from(config).timeout_config(within(Duration::from_millis(1_200))).build();
        Self { client: Client::from_conf(config), url }
    }
}

impl Queue for SqsQueue {
    async fn send(&self, message: &str) -> Result<(), Error> {
        let call = self.client.send_message().queue_url(&self.url).message_body(message);
        let sent = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        sent.map(drop).map_err(|error| {
            failed(format!("send a message to the queue {}", self.url), error.into_service_error())
        })
    }
}
