//! Objects that were dropped into a bucket, through the pipeline to CleanStream.
//!
//! A file is read in tasks, `plan → range, range, … → finish`, or `failed`, which a state machine or a queue calls in turn.
//! **A task is told nothing but the file and its range**: what is known of them stands in the table, so that any task may
//! come again, after a crash in the middle or at the same time. A range is a lane of its own, and its positions are the
//! file's lines: what comes twice lands once.

mod error;
mod file;
mod ledger;
mod lines;
mod plan;
mod queue;
mod report;

pub use error::Error;
pub use file::{Bucket, Detail, Dropped, Object};
pub use lines::Lines;
pub use report::Done;

use crate::file::{Contents, File, Table, Text};
use crate::ledger::{Ledger, Progress, Run, State};
use crate::report::Manifest;
use aws_lambda_events::event::sqs::SqsEvent;
use bytes::Bytes;
use millrace_aws::source::BatchResponse;
use millrace_aws::telemetry;
use millrace_core::account::{Counts, Tally};
use millrace_core::batch::Single;
use millrace_core::guard::{Guard, Health};
use millrace_core::port::{Clock, KeyTable, ObjectStore, PutRecords, Queue, ReadObject, Secret};
use millrace_core::quarantine::Reject;
use millrace_core::time::Micros;
use millrace_core::transformer::Transformer;
use millrace_core::window::Bounds;
use millrace_files::{Chunk, Packing, Piece, Reader, Room, Shape};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

/// How long before the deadline no further batch begins, milliseconds.
const STOP_MS: i64 = 45_000;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<P, S, K, C, O, T, Q> {
    /// The pipeline, CleanStream and the quarantine; its memory has the table of what is known of files.
    pub transformer: Transformer<P, S, Lines<T>, K, C>,
    /// The inbox: the files to read, and the manifests beside them.
    pub inbox: Guard<O>,
    /// The queue that brings files, where there is no state machine.
    pub queue: Guard<Q>,
    /// How the work is cut.
    pub sizes: Sizes,
}

/// How the work is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// How large a range is at least, bytes: a few seconds of work.
    pub range: u64,
    /// How many chunks make a batch: what is done of a range is noted batch by batch.
    pub batch: usize,
}

impl Sizes {
    /// For a Lambda: batches of 4 MB of text.
    pub const LAMBDA: Self = Self { range: 64 << 20, batch: 16 };
}

/// What the function is called with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// By the state machine.
    Task(Task),
    /// By the queue, whose messages are `EventBridge`'s events of objects that came.
    Messages(SqsEvent),
}

/// What the function answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The state machine.
    Answer(Answer),
    /// The queue.
    Batch(BatchResponse),
}

/// A task of the state machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub enum Task {
    /// Finds out what the file is, and cuts it into ranges.
    Plan(Job),
    /// Brings a range through, as far as time allows.
    Range(Job),
    /// Notes that all ranges are through.
    Finish(Job),
    /// Notes that the file could not be brought through.
    Failed(Job),
}

/// What a task is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// Who wants it: the execution's name.
    pub run: String,
    /// What was dropped.
    pub file: Dropped,
    /// The range, from 0.
    #[serde(default)]
    pub range: usize,
    /// Why it failed, as the state machine has it.
    #[serde(default)]
    pub error: Option<Cause>,
}

/// An error as Step Functions hands it to a catcher.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html>
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Cause {
    /// Its name.
    pub error: String,
    /// Its text: of a function what it answered, JSON.
    #[serde(default)]
    pub cause: String,
}

/// What a task answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of a plan.
    Planned {
        /// Whether there is nothing to do: the file is done, or another run has it.
        skip: bool,
        /// The numbers of the ranges.
        ranges: Vec<usize>,
    },
    /// Of a range.
    Ranged {
        /// Whether the range is through; else it is to be called again.
        done: bool,
    },
    /// At the end.
    Told {
        /// One line for people.
        subject: String,
        /// The manifest.
        message: String,
    },
}

/// Handles one invocation. Tells also what was brought through, and what the steps did.
pub async fn handle<P, S, K, C, O, T, Q>(
    event: Event,
    deadline: Micros,
    deps: &mut Deps<P, S, K, C, O, T, Q>,
) -> (Result<Response, Error>, Done)
where
    P: PutRecords,
    S: ObjectStore,
    K: Secret,
    C: Clock,
    O: ReadObject + ObjectStore,
    T: KeyTable,
    Q: Queue,
{
    match event {
        Event::Task(task) => {
            let (answer, counts) = deps.task(task, deadline).await;
            (answer.map(Response::Answer), Done { counts, failed: None })
        }
        Event::Messages(messages) => {
            let (answer, done) = deps.messages(messages, deadline).await;
            (Ok(Response::Batch(answer)), done)
        }
    }
}

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
    /// Does a task. What is bad is put away before it is told.
    async fn task(&mut self, task: Task, deadline: Micros) -> (Result<Answer, Error>, Counts) {
        let mut done = Counts::default();
        let (Task::Plan(job) | Task::Range(job) | Task::Finish(job) | Task::Failed(job)) = &task;
        let file = match File::new(&job.file) {
            Ok(file) => file,
            Err(why) => return (Err(why), done),
        };
        let answer = match &task {
            Task::Plan(job) => self.plan(&file, &job.run, deadline).await,
            Task::Range(job) => self.range(&file, &job.run, job.range, deadline, &mut done).await,
            Task::Finish(job) => self.finish(&file, &job.run, deadline).await,
            Task::Failed(job) => {
                let why =
                    job.error.as_ref().map_or_else(|| ("Unknown".to_owned(), String::new()), report::cause);
                self.fail(job, why, deadline).await
            }
        };
        if let Err(why @ (Error::Refused(_) | Error::Changed)) = &answer {
            tracing::error!(kind = why.kind(), %why, "a file cannot be brought through");
        }
        let answer = match answer {
            Err(Error::Refused(why)) => self.put_away(&file, why, deadline).await,
            answer => answer,
        };
        (answer, done)
    }

    async fn plan(&self, file: &File, run: &str, deadline: Micros) -> Result<Answer, Error> {
        let ledger = self.ledger(file, deadline);
        let Some(known) = ledger.claim(run).await? else {
            return Ok(Answer::Planned { skip: true, ranges: Vec::new() });
        };
        let ranges = if let Some(plan) = &known.value.plan {
            plan.ranges.len()
        } else {
            let plan = plan::plan(&self.contents(file, deadline), self.sizes.range).await?;
            let ranges = plan.ranges.len();
            ledger.put_run(&known, Run { plan: Some(plan), ..known.value.clone() }).await?;
            ranges
        };
        Ok(Answer::Planned { skip: false, ranges: (0..ranges).collect() })
    }

    async fn range(
        &mut self,
        file: &File,
        run: &str,
        range: usize,
        deadline: Micros,
        done: &mut Counts,
    ) -> Result<Answer, Error> {
        let ledger = self.ledger(file, deadline);
        let plan = ledger.run(run).await?.value.plan.ok_or(Error::Mistaken("the file has no plan"))?;
        let stretch = plan.ranges.get(range).copied().ok_or(Error::Mistaken("there is no such range"))?;
        let mut known = ledger.progress(range).await?;
        let mut progress = known
            .as_ref()
            .map_or(Progress { at: stretch.begin, tally: Tally::default(), done: false }, |known| {
                known.value
            });
        let mut source = if plan.format.shape == Shape::Parquet {
            let (groups, tail) = self.contents(file, deadline).groups().await?;
            Chunks::Table(Table {
                groups,
                tail,
                group: usize::try_from(stretch.begin.at).unwrap_or(usize::MAX),
                number: stretch.begin.number,
                end: usize::try_from(stretch.end).unwrap_or(usize::MAX),
                from: progress.at.number,
                rows: None,
            })
        } else {
            let is_plain = plan.format.packing == Packing::Plain;
            let reader = Reader::from(&plan.format, progress.at)?;
            let (at, end) = if is_plain { (progress.at.at, stretch.end) } else { (0, file.object.size) };
            Chunks::Text(Text { reader, at, end, part: Bytes::new() })
        };
        let mut chunks = Vec::new();
        let mut rooms: Vec<Room> = Vec::new();
        while !progress.done {
            let contents = self.contents(file, deadline);
            let filled = source.fill(&mut chunks, self.sizes.batch, &mut rooms, &contents).await?;
            progress.done = matches!(filled, Filled::End);
            if let Some(last) = chunks.last() {
                progress.at = last.end();
            }
            let counts = self.batch(file, range, &mut chunks, deadline).await?;
            progress.tally = progress.tally + counts.tally;
            let ledger = self.ledger(file, deadline);
            known = Some(ledger.put_progress(range, known.as_ref(), progress).await?);
            done.add(counts);
            rooms.extend(chunks.drain(..).map(Chunk::into_room));
            if let Filled::Damaged(why) = filled {
                return Err(why.into());
            }
            if self.is_late(deadline) {
                break;
            }
        }
        Ok(Answer::Ranged { done: progress.done })
    }

    /// Brings a batch out, whole.
    async fn batch(
        &mut self,
        file: &File,
        range: usize,
        chunks: &mut [Chunk],
        deadline: Micros,
    ) -> Result<Counts, Error> {
        let Some(first) = chunks.first().map(|chunk| chunk.begin().number.to_string()) else {
            return Ok(Counts::default());
        };
        let source = file.lane(&range.to_string());
        let batch =
            Bounds { source: &source, first: &first, arrived_at: file.at, until: file.at, redriven: false };
        self.transformer.open(batch, deadline, telemetry::key_stays).await.map_err(|stuck| stuck.why)?;
        let mut run = self.transformer.begin(&source);
        for chunk in chunks {
            let mut pieces = Vec::new();
            let Ok(()) = chunk.each(|piece| {
                pieces.push(piece);
                Ok::<_, Infallible>(())
            });
            let (mut digits, mut ends) = (String::new(), Vec::with_capacity(pieces.len()));
            for piece in &pieces {
                digits.push_str(itoa::Buffer::new().format(piece.number));
                ends.push(digits.len());
            }
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let sequences = starts.zip(&ends).map(|(start, end)| digits.get(start..*end).unwrap_or_default());
            run.singles(sequences.zip(pieces).map(|(sequence, Piece { bytes, flaw, .. })| Single {
                sequence,
                arrived_at: file.at,
                bytes,
                flaw,
            }));
        }
        let delivered = self.transformer.deliver(&source, deadline).await;
        match delivered.stuck {
            Some(stuck) => Err(stuck.why.into()),
            None => Ok(delivered.counts),
        }
    }

    async fn finish(&self, file: &File, run: &str, deadline: Micros) -> Result<Answer, Error> {
        let ledger = self.ledger(file, deadline);
        let known = ledger.run(run).await?;
        let (tally, missing) = self.tally(file, known.value.plan.as_ref(), deadline).await?;
        if missing > 0 {
            return Err(Error::Mistaken("not all ranges are through"));
        }
        let manifest = Manifest::new(file, known.value.plan.as_ref(), tally, None);
        self.put_manifest(file, run, &manifest, deadline).await?;
        if known.value.state != State::Done {
            ledger.put_run(&known, Run { state: State::Done, ..known.value.clone() }).await?;
        }
        Ok(manifest.told())
    }

    /// Notes that a file could not be brought through: the kind of error, and its text.
    async fn fail(&self, job: &Job, why: (String, String), deadline: Micros) -> Result<Answer, Error> {
        let file = &File::new(&job.file)?;
        let ledger = self.ledger(file, deadline);
        let known = ledger.run(&job.run).await?;
        let (tally, _) = self.tally(file, known.value.plan.as_ref(), deadline).await?;
        let manifest = Manifest::new(file, known.value.plan.as_ref(), tally, Some(why));
        self.put_manifest(file, &job.run, &manifest, deadline).await?;
        ledger.put_run(&known, Run { state: State::Failed, ..known.value.clone() }).await?;
        Ok(manifest.told())
    }

    /// What became of the rows of all ranges, and how many ranges are not through.
    async fn tally(
        &self,
        file: &File,
        plan: Option<&ledger::Plan>,
        deadline: Micros,
    ) -> Result<(Tally, usize), Error> {
        let all = self.ledger(file, deadline).all_progress().await?;
        let tally = all.iter().fold(Tally::default(), |sum, progress| sum + progress.tally);
        let done = all.iter().filter(|progress| progress.done).count();
        Ok((tally, plan.map_or(0, |plan| plan.ranges.len()).saturating_sub(done)))
    }

    /// Whether there is no time for another batch.
    fn is_late(&self, deadline: Micros) -> bool {
        self.transformer.clock.now().plus_ms(STOP_MS) > deadline
    }

    fn ledger<'a>(&'a self, file: &File, deadline: Micros) -> Ledger<'a, T, C> {
        let Transformer { memory, clock, .. } = &self.transformer;
        Ledger { table: memory.table(), clock, deadline, key: file.state_key() }
    }

    fn contents<'a>(&'a self, file: &'a File, deadline: Micros) -> Contents<'a, O, C> {
        Contents { objects: &self.inbox, clock: &self.transformer.clock, deadline, file }
    }

    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        let own = self.inbox.health().into_iter().chain(self.queue.health());
        own.chain(self.transformer.health()).collect()
    }
}

/// The chunks of a range.
enum Chunks {
    Text(Text),
    Table(Table),
}

/// How far a batch was filled with chunks.
enum Filled {
    Full,
    /// There are no more.
    End,
    /// What comes next cannot be read. What came before it is good.
    Damaged(Reject),
}

impl Chunks {
    /// Fills a batch with so many chunks.
    async fn fill<O: ReadObject, C: Clock>(
        &mut self,
        chunks: &mut Vec<Chunk>,
        batch: usize,
        rooms: &mut Vec<Room>,
        contents: &Contents<'_, O, C>,
    ) -> Result<Filled, Error> {
        while chunks.len() < batch {
            match self.next(contents, &mut rooms.pop().unwrap_or_default()).await {
                Ok(Some(chunk)) => chunks.push(chunk),
                Ok(None) => return Ok(Filled::End),
                Err(Error::Refused(why)) => return Ok(Filled::Damaged(why)),
                Err(why) => return Err(why),
            }
        }
        Ok(Filled::Full)
    }

    async fn next<O: ReadObject, C: Clock>(
        &mut self,
        contents: &Contents<'_, O, C>,
        room: &mut Room,
    ) -> Result<Option<Chunk>, Error> {
        match self {
            Self::Text(text) => text.chunk(contents, room).await,
            Self::Table(table) => table.chunk(contents, room).await,
        }
    }
}
