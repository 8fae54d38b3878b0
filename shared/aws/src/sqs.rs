//! An SQS queue to send messages to, or to take them from.

use crate::clients::within;
use crate::failed;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName};
use aws_types::SdkConfig;
use bytes::Bytes;
use millrace_core::port::{Attribute, Error, Inbox, Kind, Message, ObjectStore, Queue};
use millrace_core::time::Micros;
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

/// A message in the core's words.
fn message(message: aws_sdk_sqs::types::Message) -> Message {
    let sent_at =
        message.attributes.and_then(|mut all| all.remove(&MessageSystemAttributeName::SentTimestamp));
    let sent_at = sent_at.and_then(|ms| Micros::new(ms.parse::<i64>().ok()?.checked_mul(1_000)?));
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    Message {
        id: message.message_id.unwrap_or_default(),
        receipt: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        sent_at,
        attributes: attributes.map(|(name, value)| attribute(name, value)).collect(),
    }
}

fn attribute(name: String, value: MessageAttributeValue) -> Attribute {
    let MessageAttributeValue { string_value, binary_value, data_type, .. } = value;
    let binary = || binary_value.map(|data| base64_simd::STANDARD.encode_to_string(data));
    Attribute { name, kind: data_type, value: string_value.or_else(binary).unwrap_or_default() }
}

impl Inbox for SqsQueue {
    async fn receive(&self) -> Result<Vec<Message>, Error> {
        let what = || format!("receive messages of the queue {}", self.url);
        let call = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let call = call
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_attribute_names("All");
        let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(message).collect())
    }

    async fn delete(&self, receipt: &str) -> Result<(), Error> {
        let call = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt);
        let sent = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        sent.map(drop).map_err(|error| {
            failed(format!("delete a message of the queue {}", self.url), error.into_service_error())
        })
    }

    async fn give_back(&self, receipt: &str) -> Result<(), Error> {
        let call = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        let sent = Box::pin(call.visibility_timeout(0).send()).await; // boxed: the SDK's futures are large
        sent.map(drop).map_err(|error| {
            failed(format!("give a message back to the queue {}", self.url), error.into_service_error())
        })
    }
}

/// A FIFO queue as a place for what a sink lays out: an object is a message, and its key what the queue knows it by when it is
/// sent again within five minutes.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagededuplicationid-property.html>
#[derive(Debug, Clone)]
pub struct FifoQueue(SqsQueue);

impl FifoQueue {
    /// The queue at this URL.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self(SqsQueue::new(config, url))
    }
}

impl ObjectStore for FifoQueue {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let Self(SqsQueue { client, url }) = self;
        let what = || format!("send the message {key} to the queue {url}");
        let text = str::from_utf8(&body).map_err(|_| Error {
            what: format!("{}: it is no text", what()),
            kind: Kind::Permanent,
            source: None,
        })?;
        // A group of its own: messages are independent, and each group is handed out one by one.
        let call = client.send_message().queue_url(url).message_body(text);
        let sent = Box::pin(call.message_group_id(key).message_deduplication_id(key).send()).await; // boxed: the SDK's futures are large
        sent.map(drop).map_err(|error| failed(what(), error.into_service_error()))
    }

    /// A message that was sent stays sent.
    async fn delete(&self, _key: &str) -> Result<(), Error> {
        Ok(())
    }
}
