//! An SQS queue to send messages to.

use crate::failed;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use millrace_core::port::{Error, Queue};

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
        Self { client: Client::new(config), url }
    }
}

impl Queue for SqsQueue {
    async fn send(&self, message: String) -> Result<(), Error> {
        let call = self.client.send_message().queue_url(&self.url).message_body(message);
        let sent = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        sent.map(drop).map_err(|error| {
            let error = error.into_service_error();
            let code = error.code().map(str::to_owned);
            failed(format!("send a message to the queue {}", self.url), code.as_deref(), error)
        })
    }
}
