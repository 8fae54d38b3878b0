//! Delivery streams: Firehose, with a function that transforms its records.
//!
//! | rule | where AWS says so |
//! | --- | --- |
//! | records gather until there are so many bytes of them, or for so long; the function gets them at once | [flow] |
//! | a function that fails, or is not there, is asked three times more; then the batch counts as failed | [failure] |
//! | the answer names each record once, as `Ok`, `Dropped` or `ProcessingFailed`; what it does not name so has failed | [status] |
//! | what failed goes to the prefix of the errors, as it came | [failure] |
//! | what is `Ok` is delivered at least once | [delivery] |
//! | an answer has at most 6 MB | [flow] |
//!
//! [flow]: https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html
//! [failure]: https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html
//! [status]: https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-status-model.html
//! [delivery]: https://docs.aws.amazon.com/firehose/latest/dev/basic-deliver.html

use crate::account::Account;
use crate::executor::{Bell, first};
use crate::fault::CallFault;
use crate::lambda::{Function, Outcome};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use millrace_core::port::Error;
use millrace_core::time::Micros;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How many times more a function is asked.
const RETRIES: u32 = 3;

/// The largest answer, bytes.
const ANSWER_MAX: usize = 6_000_000;

/// How records gather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Until there are so many bytes.
    pub bytes: usize,
    /// Or for so long, milliseconds.
    pub ms: i64,
}

/// A record that the stream took.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    id: String,
    arrived_at: Micros,
    data: Vec<u8>,
}

/// A record where the stream delivers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The batch that it was in, by its number.
    pub batch: usize,
    /// What the function says of its partition, `<date> <hour>`.
    pub partition: String,
    /// What the function made of it.
    pub data: Vec<u8>,
}

/// A record below the prefix of the errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// It, as it came.
    pub data: Vec<u8>,
    /// Whether the function said so; else nobody got an answer of it.
    pub is_bad: bool,
}

/// A delivery stream.
#[derive(Debug)]
pub struct DeliveryStream {
    account: Account,
    function: Rc<Function>,
    buffer: Buffer,
    waiting: RefCell<Vec<Record>>,
    taken: RefCell<Vec<Vec<u8>>>,
    batches: RefCell<usize>,
    delivered: RefCell<Vec<Delivered>>,
    failed: RefCell<Vec<Failed>>,
    misnamed: RefCell<Vec<String>>,
    bell: Bell,
}

impl DeliveryStream {
    /// A stream with this function.
    pub fn start(account: &Account, function: &Rc<Function>, buffer: Buffer) -> Rc<Self> {
        let stream = Rc::new(Self {
            account: account.clone(),
            function: Rc::clone(function),
            buffer,
            waiting: RefCell::default(),
            taken: RefCell::default(),
            batches: RefCell::default(),
            delivered: RefCell::default(),
            failed: RefCell::default(),
            misnamed: RefCell::default(),
            bell: Bell::default(),
        });
        let own = Rc::clone(&stream);
        account.executor().spawn(async move {
            loop {
                let batch = own.gather().await;
                let own = Rc::clone(&own);
                own.account.clone().executor().spawn(async move { own.transform(batch).await });
            }
        });
        stream
    }

    /// All that it took, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Vec<u8>> {
        self.taken.borrow().clone()
    }

    /// All that it delivered.
    #[must_use]
    pub fn delivered(&self) -> Vec<Delivered> {
        self.delivered.borrow().clone()
    }

    /// All that failed.
    #[must_use]
    pub fn failed(&self) -> Vec<Failed> {
        self.failed.borrow().clone()
    }

    /// The records of which an answer did not say once, and clearly, what becomes of them.
    #[must_use]
    pub fn misnamed(&self) -> Vec<String> {
        self.misnamed.borrow().clone()
    }

    /// Waits for a batch.
    async fn gather(&self) -> Vec<Record> {
        while self.waiting.borrow().is_empty() {
            self.bell.wait().await;
        }
        let end = self.account.now().plus_ms(self.buffer.ms);
        let bytes = || self.waiting.borrow().iter().map(|record| record.data.len()).sum::<usize>();
        while self.account.now() < end && bytes() < self.buffer.bytes {
            let _ = first(self.bell.wait(), self.account.executor().sleep_until(end)).await;
        }
        self.waiting.take()
    }

    async fn transform(&self, batch: Vec<Record>) {
        let number = {
            let mut batches = self.batches.borrow_mut();
            *batches += 1;
            *batches
        };
        let record = |record: &Record| {
            json!({
                "recordId": record.id,
                "approximateArrivalTimestamp": record.arrived_at.get() / 1_000,
                "data": BASE64_STANDARD.encode(&record.data),
            })
        };
        let event = json!({
            "invocationId": number.to_string(),
            "deliveryStreamArn": "arn:aws:firehose:us-east-1:123456789012:deliverystream/events",
            "region": "us-east-1",
            "records": batch.iter().map(record).collect::<Vec<_>>(),
        });
        for _ in 0..=RETRIES {
            self.account.tell(|| format!("firehose gets {} records, batch {number}", batch.len()));
            match self.function.invoke(&event).await {
                Outcome::Answered(answer) if answer.payload.to_string().len() <= ANSWER_MAX => {
                    self.account.tell(|| format!("firehose answers: {}", answer.told()));
                    return self.deliver(number, &batch, &answer.payload).await;
                }
                other => self.account.tell(|| format!("firehose: {other:?}")),
            }
            self.account.sleep(Duration::from_millis(self.account.chance().between(100, 5_000))).await;
        }
        let failed = batch.into_iter().map(|record| Failed { data: record.data, is_bad: false });
        self.failed.borrow_mut().extend(failed);
    }

    async fn deliver(&self, batch: usize, records: &[Record], answer: &Value) {
        let answers = answer["records"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut delivered = Vec::new();
        for record in records {
            let own: Vec<_> = answers.iter().filter(|answer| answer["recordId"] == record.id).collect();
            let fate = match own.as_slice() {
                [answer] => fate(batch, answer),
                _ => None,
            };
            match fate {
                Some(Fate::Ok(ok)) => delivered.push(ok),
                Some(Fate::Dropped) => {}
                failed => {
                    if failed.is_none() {
                        self.misnamed.borrow_mut().push(record.id.clone());
                    }
                    let data = record.data.clone();
                    self.failed.borrow_mut().push(Failed { data, is_bad: true });
                }
            }
        }
        if answers.len() > records.len() {
            self.misnamed.borrow_mut().push("what was not asked for".to_owned());
        }
        loop {
            let fault = self.account.faults().call("delivery", self.account.now());
            let (is_put, is_told) = match fault {
                None => (true, true),
                Some(CallFault::AnswerLost | CallFault::Late(_)) => (true, false),
                Some(_) => (false, false),
            };
            if is_put {
                self.delivered.borrow_mut().extend(delivered.iter().cloned());
            }
            if is_told {
                return;
            }
            self.account.sleep(Duration::from_millis(self.account.chance().between(100, 30_000))).await;
        }
    }

    /// `PutRecord`.
    /// <https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecord.html>
    pub async fn put(self: &Rc<Self>, data: Vec<u8>) -> Result<(), Error> {
        let stream = Rc::clone(self);
        let effect = move |_| {
            let mut taken = stream.taken.borrow_mut();
            let id = format!("{:056}", taken.len());
            taken.push(data.clone());
            stream.waiting.borrow_mut().push(Record { id, arrived_at: stream.account.now(), data });
            stream.bell.ring();
            Ok(())
        };
        self.account.call("firehose", effect).await
    }
}

enum Fate {
    Ok(Delivered),
    Dropped,
    Failed,
}

/// What an answer says of a record, if it says something that Firehose knows.
fn fate(batch: usize, answer: &Value) -> Option<Fate> {
    match answer["result"].as_str()? {
        "Ok" => {
            let data = BASE64_STANDARD.decode(answer["data"].as_str()?).ok()?;
            let keys = answer.get("metadata")?.get("partitionKeys")?;
            let partition = format!("{} {}", keys["event_date"].as_str()?, keys["event_hour"].as_str()?);
            Some(Fate::Ok(Delivered { batch, partition, data }))
        }
        "Dropped" => Some(Fate::Dropped),
        "ProcessingFailed" => Some(Fate::Failed),
        _ => None,
    }
}
