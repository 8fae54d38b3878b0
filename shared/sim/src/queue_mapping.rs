//! Event source mappings of queues: Lambda's pollers for SQS.
//!
//! | rule | where AWS says so |
//! | --- | --- |
//! | a batch that is answered is deleted, but for the messages that the answer names | [partial] |
//! | a batch that fails stays: its messages come again when their visibility timeout ends | [errors] |
//! | so many batches at once, and no more | [concurrency] |
//!
//! [partial]: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
//! [errors]: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
//! [concurrency]: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html

use crate::account::Account;
use crate::executor::first;
use crate::lambda::{Function, Outcome};
use crate::sqs::{Message, Queue};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;

/// Begins to bring a queue's messages to a function, so many at once in a batch, in so many batches at once.
pub fn start(
    account: &Account,
    queue: &Rc<Queue>,
    function: &Rc<Function>,
    batch_size: usize,
    at_once: usize,
) {
    for _ in 0..at_once {
        let (account, queue, function) = (account.clone(), Rc::clone(queue), Rc::clone(function));
        account.clone().executor().spawn(async move {
            loop {
                let batch = queue.receive(batch_size);
                if batch.is_empty() {
                    match queue.next_visible() {
                        Some(moment) => {
                            let _ = first(queue.bell.wait(), account.executor().sleep_until(moment)).await;
                        }
                        None => queue.bell.wait().await,
                    }
                    continue;
                }
                deliver(&account, &queue, &function, batch).await;
            }
        });
    }
}

async fn deliver(account: &Account, queue: &Queue, function: &Function, batch: Vec<Message>) {
    let records: Vec<_> = batch.iter().map(|message| render(queue, message)).collect();
    account.tell(|| {
        let ids: Vec<_> = batch.iter().map(|message| message.id.as_str()).collect();
        format!("{} gets {}", function.name, ids.join(", "))
    });
    match function.invoke(&json!({ "Records": records })).await {
        Outcome::Answered(answer) => {
            let Some(failed) = failed(&answer.payload, &batch) else {
                account.tell(|| format!("{} answers with no message of the batch", function.name));
                return;
            };
            account.tell(|| format!("{} answers: {} failed; {}", function.name, failed.len(), answer.told()));
            for message in batch.iter().filter(|message| !failed.contains(&message.id.as_str())) {
                queue.delete(&message.id);
            }
        }
        Outcome::Failed(why) => account.tell(|| format!("{} fails: {why}", function.name)),
        Outcome::Throttled => account.sleep(Duration::from_secs(1)).await,
    }
}

/// The messages that the answer names; none where it names what is not in the batch, which fails it whole.
fn failed<'a>(answer: &'a Value, batch: &[Message]) -> Option<Vec<&'a str>> {
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(failures) => failures.as_array()?,
    };
    let id = |failure: &'a Value| {
        let id = failure.get("itemIdentifier")?.as_str()?;
        batch.iter().any(|message| message.id == id).then_some(id)
    };
    failures.iter().map(id).collect()
}

/// A message in the function's event.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>
fn render(queue: &Queue, message: &Message) -> Value {
    json!({
        "messageId": message.id,
        "receiptHandle": format!("{}#{}", message.id, message.receives),
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.receives.to_string(),
            "SentTimestamp": (message.sent_at.get() / 1000).to_string(),
            "SenderId": "AROAEXAMPLE",
            "ApproximateFirstReceiveTimestamp": (message.sent_at.get() / 1000).to_string(),
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:us-east-1:123456789012:{}", queue.name),
        "awsRegion": "us-east-1",
    })
}
