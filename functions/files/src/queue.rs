//! The lighter way, without a state machine: a queue brings the files, and one invocation after another works on each.
//!
//! What time does not allow for goes on by way of a message to the same queue. The file belongs to the queue, not to a
//! message: one that comes twice finds what the other has done.

use crate::{Answer, Deps, Done, Dropped, Error, Job, Task};
use aws_lambda_events::event::sqs::SqsEvent;
use millrace_aws::source::BatchResponse;
use millrace_core::account::Counts;
use millrace_core::port::{Clock, KeyTable, ObjectStore, PutRecords, Queue, ReadObject, Secret};
use millrace_core::time::Micros;
use std::num::NonZeroUsize;

/// Whose the files are that come by way of the queue.
pub(crate) const OWNER: &str = "queue";

impl<P, S, K, C, O, T, Q> Deps<P, S, K, C, O, T, Q>
where
    P: PutRecords,
    S: ObjectStore,
    K: Secret,
    C: Clock,
    O: ReadObject + ObjectStore,
    T: KeyTable,
    Q: Queue,
{
    /// Handles one batch of messages.
    pub(crate) async fn messages(&mut self, event: SqsEvent, deadline: Micros) -> (BatchResponse, Done) {
        let (mut failed, mut done) = (Vec::new(), Done::default());
        for message in event.records {
            let id = message.message_id.unwrap_or_default();
            let body = message.body.unwrap_or_default();
            if let Err(why) = self.message(&body, deadline, &mut done).await {
                tracing::error!(id, kind = why.kind(), %why, "a file is not through; it comes again");
                failed.push(id);
            }
        }
        (BatchResponse::failed(failed), done)
    }

    /// Works on a file as far as time allows, and sends on what is left.
    async fn message(&mut self, body: &str, deadline: Micros, done: &mut Done) -> Result<(), Error> {
        let file: Dropped =
            serde_json::from_str(body).map_err(|_| Error::Mistaken("the message tells of no object"))?;
        let job = Job { run: OWNER.to_owned(), file, range: 0, error: None };
        match self.read(&job, deadline, &mut done.counts).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let clock = &self.transformer.clock;
                Ok(self.queue.call(clock, deadline, async |queue| queue.send(body).await).await?)
            }
            Err(why @ (Error::Refused(_) | Error::Changed)) => {
                self.fail(&job, (why.kind().to_owned(), why.to_string()), deadline).await?;
                done.failed = NonZeroUsize::new(done.failed.map_or(0, NonZeroUsize::get) + 1);
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    /// Brings a file through, as far as time allows; whether it is through.
    async fn read(&mut self, job: &Job, deadline: Micros, done: &mut Counts) -> Result<bool, Error> {
        let (planned, _) = self.task(Task::Plan(job.clone()), deadline).await;
        let Answer::Planned { skip: false, ranges } = planned? else { return Ok(true) };
        for range in ranges {
            let (ranged, counts) = self.task(Task::Range(Job { range, ..job.clone() }), deadline).await;
            done.add(counts);
            // Who did nothing yet has time.
            let is_late = done.tally.r#in > 0 && self.is_late(deadline);
            if ranged? != (Answer::Ranged { done: true }) || is_late {
                return Ok(false);
            }
        }
        let (finished, _) = self.task(Task::Finish(job.clone()), deadline).await;
        finished.map(|_| true)
    }
}
