//! The functions as Lambda runs them: what each `main.rs` wires, here over the services of the simulated account.

use crate::feed;
use crate::firehose::Firehose;
use crate::metrics::Metrics;
use crate::mutant::{self, Bent, Mutant};
use crate::replay;
use crate::review::Review;
use crate::scenario::Scenario;
use crate::world::{LOG_MS, RETENTION_MS, Stack};
use millrace_aws::serve::MARGIN_MS;
use millrace_core::batch::Batch;
use millrace_core::checkpoint::Checkpoints;
use millrace_core::files;
use millrace_core::frame::{Encoding, Reader};
use millrace_core::guard::Guard;
use millrace_core::keys::Keys;
use millrace_core::pipeline::{EventSettings, Pipeline};
use millrace_core::port::Clock as _;
use millrace_core::retry::Policy;
use millrace_core::sink::Driver;
use millrace_core::time::Micros;
use millrace_core::transformer::Transformer;
use millrace_core::webhook::Sources;
use millrace_core::window::{Forgetful, Span, Window};
use millrace_files_function::{Lines, Sizes};
use millrace_ingest::access::Access;
use millrace_ingest::{drain, queue, webhooks};
use millrace_lake::{Frames, Layout};
use millrace_sim::account::SkewedClock;
use millrace_sim::kinesis::Stream;
use millrace_sim::lambda::{Answer, Code, Instance, Local, die};
use millrace_sim::sqs::Queue;
use millrace_sim::{dynamodb, kinesis, lambda, s3, secrets, sqs};
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::task::Poll;

/// The pipeline of the simulation.
pub(crate) const PIPELINE: &str = include_str!("pipeline.toml");

/// What a later version does besides.
const LATER: &str = "\n[[step]]\nenrich.constant = { version = 2 }\n";

/// The name of the table in its events.
pub(crate) const TABLE: &str = "orders";

/// How long a start waits for the key, as in `shared/aws`.
const START_MS: i64 = 8_000;

/// For how long ids are known, and records may be tried again: what the template has by default.
pub(crate) const SPAN: Span = Span { window_ms: 3_600_000, retries_ms: RETENTION_MS, ids_max: 1_000_000 };

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Ingest,
    Drain,
    Queue,
    Transform,
    Changes,
    Files,
    Lake,
    Redrive,
    Metrics,
    Review,
    Firehose,
    Webhooks,
    Pull,
}

/// Starts instances of a function in a stack.
pub(crate) struct Binary {
    pub(crate) which: Which,
    pub(crate) stack: Rc<Stack>,
    pub(crate) skew_ms: i64,
}

impl Binary {
    pub(crate) fn new(which: Which, stack: &Rc<Stack>, scenario: &Scenario) -> Self {
        Self { which, stack: Rc::clone(stack), skew_ms: scenario.skew_ms }
    }

    pub(crate) fn clock(&self) -> SkewedClock {
        let width = u64::try_from(2 * self.skew_ms).unwrap();
        let ahead = i64::try_from(self.stack.account.chance().between(0, width)).unwrap() - self.skew_ms;
        SkewedClock::new(&self.stack.account, ahead)
    }

    pub(crate) fn bent<P>(&self, port: P) -> Bent<P> {
        Bent::new(port, &self.stack, self.which)
    }

    pub(crate) fn table(&self) -> dynamodb::Client {
        dynamodb::Client(Rc::clone(&self.stack.state))
    }

    pub(crate) fn quarantine(&self) -> Guard<Bent<s3::Client>> {
        Guard::patient("quarantine", self.bent(s3::Client(Rc::clone(&self.stack.quarantine))))
    }

    /// The pipeline of a version, its key and a clock.
    pub(crate) async fn pipeline(
        &self,
        version: u32,
    ) -> Result<(Pipeline, Keys<Bent<secrets::Client>>, SkewedClock), String> {
        self.compiled(version, false).await
    }

    async fn compiled(
        &self,
        version: u32,
        is_mistaken: bool,
    ) -> Result<(Pipeline, Keys<Bent<secrets::Client>>, SkewedClock), String> {
        let pipeline = if version > 1 { format!("{PIPELINE}{LATER}") } else { PIPELINE.to_owned() };
        let pipeline = if is_mistaken { replay::mistaken(&pipeline) } else { pipeline };
        let pipeline = mutant::pipeline(pipeline, self.stack.mutant);
        let pipeline = Pipeline::compile(&pipeline, &files::NONE).unwrap();
        let clock = self.clock();
        let secret = Guard::patient("token key", self.bent(secrets::Client(Rc::clone(&self.stack.secret))));
        let deadline = clock.now().plus_ms(START_MS);
        let keys = Keys::fetch(secret, &clock, deadline, |secret| pipeline.key(secret)).await;
        Ok((pipeline, keys.map_err(|why| why.to_string())?, clock))
    }

    async fn transformer<M>(
        &self,
        function: &'static str,
        version: u32,
        memory: M,
    ) -> Result<(Transform<M>, bool), String> {
        let is_mistaken = self.stack.replays.is_mistaken.get();
        let (pipeline, keys, clock) = self.compiled(version, is_mistaken).await?;
        let encoding = if self.stack.kpl { Encoding::Kpl } else { Encoding::Frames };
        let transformer = Transformer {
            function,
            clean: Guard::patient("CleanStream", kinesis::Client(Rc::clone(&self.stack.clean))),
            quarantine: self.quarantine(),
            memory,
            clock,
            pipeline,
            keys,
            batch: Batch::writing(encoding),
        };
        Ok((transformer, is_mistaken))
    }
}

type Transform<M> = Transformer<kinesis::Client, Bent<s3::Client>, M, Bent<secrets::Client>, SkewedClock>;

type Ids = Bent<Window<Bent<dynamodb::Client>, kinesis::Client>>;

impl Code for Binary {
    fn start(&self, version: u32) -> Local<'_, Result<Box<dyn Instance>, String>> {
        Box::pin(async move {
            let stack = &self.stack;
            let raw = || kinesis::Client(Rc::clone(&stack.raw));
            let started: Box<dyn Instance> = match self.which {
                Which::Ingest => Box::new(Ingest(millrace_ingest::Deps {
                    raw: Guard::patient("RawStream", self.bent(raw())),
                    spill: Guard::new("spill queue", sqs::Client(Rc::clone(&stack.spill)), Policy::BRIEF),
                    clock: self.clock(),
                    event: EventSettings::read(PIPELINE).unwrap(),
                    access: Access::Open,
                    body_max: 10 << 20,
                })),
                Which::Webhooks => {
                    let clock = self.clock();
                    let secret = self.bent(secrets::Client(Rc::clone(&stack.webhook_secrets)));
                    let secret = Guard::patient("webhook secrets", secret);
                    let until = clock.now().plus_ms(START_MS);
                    let sources = Keys::fetch(secret, &clock, until, Sources::parse).await;
                    let ingest = millrace_ingest::Deps {
                        raw: Guard::patient("RawStream", self.bent(raw())),
                        spill: Guard::new("spill queue", sqs::Client(Rc::clone(&stack.spill)), Policy::BRIEF),
                        clock,
                        event: EventSettings::read(PIPELINE).unwrap(),
                        access: Access::Open,
                        body_max: webhooks::BODY_MAX,
                    };
                    let sources = sources.map_err(|why| why.to_string())?;
                    let ids = Guard::new("state table", self.bent(self.table()), Policy::BRIEF);
                    Box::new(Webhooks(webhooks::Deps { ingest, sources, ids }))
                }
                Which::Pull => {
                    let header = millrace_pull::Header::read("Authorization: Bearer {token}").unwrap();
                    let token = secrets::Client(Rc::clone(&stack.feed_token));
                    let feed = self.bent(feed::Client(Rc::clone(&stack.feed)));
                    let deps = millrace_pull::Deps {
                        feed: stack.feed.settings(),
                        http: Guard::new("feed", feed, millrace_pull::PATIENCE),
                        token: Some((header, Guard::patient("feed's token", token))),
                        table: Guard::patient("state table", self.bent(self.table())),
                        raw: Guard::patient("RawStream", self.bent(raw())),
                        clock: self.clock(),
                        event: EventSettings::read(PIPELINE).unwrap(),
                    };
                    Box::new(Pull { stack: Rc::clone(stack), deps })
                }
                Which::Drain => {
                    let deps = drain::Deps {
                        raw: Guard::patient("RawStream", raw()),
                        spill: Guard::new("spill queue", sqs::Client(Rc::clone(&stack.spill)), Policy::BRIEF),
                        clock: self.clock(),
                    };
                    Box::new(Drain { stack: Rc::clone(stack), deps })
                }
                Which::Queue => {
                    let raw = Guard::patient("RawStream", raw());
                    let event = EventSettings::read(PIPELINE).unwrap();
                    Box::new(Inbox {
                        stack: Rc::clone(stack),
                        deps: queue::Deps { raw, clock: self.clock(), event },
                    })
                }
                Which::Transform => {
                    let table = Guard::patient("state table", self.bent(self.table()));
                    let ids = Window::new(table, Guard::patient("RawStream's shards", raw()), SPAN);
                    let (transformer, is_mistaken) =
                        self.transformer("transform", version, self.bent(ids)).await?;
                    Box::new(TransformInstance { stack: Rc::clone(stack), transformer, is_mistaken })
                }
                Which::Changes => {
                    let (transformer, is_mistaken) = self.transformer("changes", version, Forgetful).await?;
                    Box::new(Changes { transformer, is_mistaken })
                }
                Which::Files => {
                    let lines = Lines::new(Guard::patient("state table", self.table()));
                    Box::new(Files(millrace_files_function::Deps {
                        transformer: self.transformer("files", version, lines).await?.0,
                        inbox: Guard::patient("inbox", s3::Client(Rc::clone(&stack.files))),
                        queue: Guard::patient(
                            "files queue",
                            self.bent(sqs::Client(Rc::clone(&stack.files_queue))),
                        ),
                        sizes: Sizes { range: 1, batch: 1 },
                    }))
                }
                Which::Lake => {
                    let pipeline = Pipeline::compile(PIPELINE, &files::NONE).unwrap();
                    let driver = Driver {
                        function: "lake",
                        checkpoints: Checkpoints::new(
                            "lake",
                            Guard::patient("state table", self.bent(self.table())),
                            LOG_MS,
                        ),
                        objects: Guard::patient("lake", self.bent(s3::Client(Rc::clone(&stack.lake)))),
                        quarantine: self.quarantine(),
                        clock: self.clock(),
                        reader: Reader::default(),
                    };
                    let lake = millrace_lake_function::Lake(Frames::new(Layout::new(
                        pipeline.event(),
                        pipeline.lake(),
                    )));
                    Box::new(Lake {
                        stack: Rc::clone(stack),
                        deps: millrace_lake_function::Deps { driver, lake },
                    })
                }
                Which::Redrive => {
                    let dead = |queue: &Rc<Queue>| {
                        Guard::patient("dead letters", self.bent(sqs::Client(Rc::clone(queue))))
                    };
                    let named = |queue: &Rc<Queue>| (queue.name.to_owned(), dead(queue));
                    let kinesis =
                        |stream: &Rc<Stream>| (Rc::clone(stream), kinesis::kept as fn(&_, &_, &_) -> _);
                    let streams = vec![
                        kinesis(&stack.raw),
                        kinesis(&stack.clean),
                        (Rc::clone(&stack.orders), kinesis::kept_change as fn(&_, &_, &_) -> _),
                    ];
                    let reader = kinesis::Reader { account: stack.account.clone(), streams };
                    let functions = stack.functions.borrow().clone();
                    let letters = stack.letters_of_streams();
                    let client = lambda::Client { account: stack.account.clone(), functions };
                    Box::new(Redrive(millrace_redrive::Deps {
                        letters: letters.into_iter().map(named).collect(),
                        spilled: (
                            dead(&stack.spill_dead),
                            Guard::patient("spill queue", sqs::Client(Rc::clone(&stack.spill))),
                        ),
                        inbox: Some((dead(&stack.inbox_dead), "queue".to_owned())),
                        streams: Guard::patient("streams", reader),
                        functions: Guard::patient("functions", self.bent(client)),
                        quarantine: self.quarantine(),
                        clock: self.clock(),
                    }))
                }
                Which::Metrics => Box::new(Metrics::start(self, version).await?),
                Which::Review => Box::new(Review::start(self, PIPELINE)),
                Which::Firehose => Box::new(Firehose::start(self, version).await?),
            };
            Ok(started)
        })
    }
}

/// The moment by which a handler should be done, as `serve` tells it.
pub(crate) fn deadline(of_lambda: Micros) -> Micros {
    of_lambda.plus_ms(-MARGIN_MS)
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(payload: &Value) -> Result<T, String> {
    serde_json::from_value(payload.clone()).map_err(|why| why.to_string())
}

pub(crate) fn answer(payload: &impl Serialize, counts: &impl Serialize) -> Answer {
    Answer { payload: json!(payload), counts: json!(counts) }
}

struct Ingest(millrace_ingest::Deps<Bent<kinesis::Client>, sqs::Client, SkewedClock, Infallible>);

impl Instance for Ingest {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let (payload, tally) = millrace_ingest::handle(read(payload)?, deadline(ends), &self.0).await;
            Ok(answer(&payload, &tally))
        })
    }
}

struct Webhooks(
    webhooks::Deps<
        Bent<kinesis::Client>,
        sqs::Client,
        Bent<dynamodb::Client>,
        Bent<secrets::Client>,
        SkewedClock,
    >,
);

impl Instance for Webhooks {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let (payload, tally) = webhooks::handle(read(payload)?, deadline(ends), &mut self.0).await;
            Ok(answer(&payload, &tally))
        })
    }
}

struct Pull {
    stack: Rc<Stack>,
    deps: millrace_pull::Deps<
        Bent<feed::Client>,
        secrets::Client,
        Bent<dynamodb::Client>,
        Bent<kinesis::Client>,
        SkewedClock,
    >,
}

impl Instance for Pull {
    fn invoke<'a>(&'a mut self, _: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let (tally, done) = self.deps.handle(deadline(ends)).await;
            self.stack.feed.counted.borrow_mut().push(json!(tally));
            done.map(|()| answer(&tally, &tally)).map_err(|why| why.to_string())
        })
    }
}

struct Drain {
    stack: Rc<Stack>,
    deps: drain::Deps<kinesis::Client, sqs::Client, SkewedClock>,
}

impl Instance for Drain {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let before = self.stack.raw.records().len();
            let (answered, tally) = drain::handle(read(payload)?, deadline(ends), &self.deps).await;
            self.stack.see_drained(payload, before);
            let mut answer = answer(&answered, &tally);
            answer.payload = mutant::forgetful(answer.payload, self.stack.mutant);
            Ok(answer)
        })
    }
}

struct Inbox {
    stack: Rc<Stack>,
    deps: queue::Deps<kinesis::Client, SkewedClock>,
}

impl Instance for Inbox {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let poison = self.stack.poison(payload, "queue");
            let work = async {
                let before = self.stack.raw.records().len();
                let event = mutant::named_anew(payload, self.stack.mutant);
                let (answered, tally) = queue::handle(read(&event)?, deadline(ends), &self.deps).await;
                let answer = answer(&answered, &tally);
                let heard = (event["Records"].clone(), answer.payload.clone(), answer.counts.clone());
                self.stack.queued.borrow_mut().push(heard);
                let some_failed = answer.payload["batchItemFailures"][0].is_object();
                if some_failed && self.stack.raw.records().len() > before {
                    self.stack.drained_in_part.set(true);
                }
                Ok(answer)
            };
            Box::pin(poisoned(poison, work)).await
        })
    }
}

struct TransformInstance {
    stack: Rc<Stack>,
    transformer: Transform<Ids>,
    /// Whether its pipeline has the mistake.
    is_mistaken: bool,
}

impl Instance for TransformInstance {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let poison = self.stack.poison(payload, "transform");
            let work = async {
                if self.stack.mutant == Some(Mutant::LogsPayload) {
                    tracing::info!(record = mutant::first_text(payload), "a batch");
                }
                if self.stack.mutant == Some(Mutant::UserNoted) {
                    self.stack.user.replace(mutant::first_user(payload));
                }
                let (answered, counts) =
                    millrace_transform::handle(&read(payload)?, deadline(ends), &mut self.transformer).await;
                let mut answer = answer(&answered, &counts);
                answer.payload = mutant::answer(answer.payload, payload, self.stack.mutant);
                answer.counts["mistaken"] = json!(u8::from(self.is_mistaken));
                Ok(answer)
            };
            Box::pin(poisoned(poison, work)).await
        })
    }
}

struct Changes {
    transformer: Transform<Forgetful>,
    is_mistaken: bool,
}

impl Instance for Changes {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let (payload, counts) =
                millrace_changes::handle(&read(payload)?, TABLE, deadline(ends), &mut self.transformer).await;
            let mut answer = answer(&payload, &counts);
            answer.counts["mistaken"] = json!(u8::from(self.is_mistaken));
            Ok(answer)
        })
    }
}

type FileQueue = Bent<sqs::Client>;
type Keyed = Bent<secrets::Client>;

struct Files(
    millrace_files_function::Deps<
        kinesis::Client,
        Bent<s3::Client>,
        Keyed,
        SkewedClock,
        s3::Client,
        dynamodb::Client,
        FileQueue,
    >,
);

impl Instance for Files {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let (answered, counts) =
                millrace_files_function::handle(read(payload)?, deadline(ends), &mut self.0).await;
            Ok(answer(&answered.map_err(|why| why.kind().to_owned())?, &counts))
        })
    }
}

struct Lake {
    stack: Rc<Stack>,
    deps:
        millrace_lake_function::Deps<Bent<dynamodb::Client>, Bent<s3::Client>, Bent<s3::Client>, SkewedClock>,
}

impl Instance for Lake {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let poison = self.stack.poison(payload, "lake");
            let work = async {
                let done =
                    millrace_lake_function::handle(&read(payload)?, deadline(ends), &mut self.deps).await;
                let (answered, counts) = done.map_err(|why| why.to_string())?;
                self.deps.driver.objects.port().flush().await.map_err(|why| why.to_string())?;
                let mut answer = answer(&answered, &counts);
                answer.payload = mutant::answer(answer.payload, payload, self.stack.mutant);
                Ok(answer)
            };
            Box::pin(poisoned(poison, work)).await
        })
    }
}

struct Redrive(
    millrace_redrive::Deps<
        Bent<sqs::Client>,
        sqs::Client,
        kinesis::Reader,
        Bent<lambda::Client>,
        Bent<s3::Client>,
        SkewedClock,
    >,
);

impl Instance for Redrive {
    fn invoke<'a>(&'a mut self, payload: &'a Value, ends: Micros) -> Local<'a, Result<Answer, String>> {
        Box::pin(async move {
            let tally = self.0.handle(read(payload)?, deadline(ends)).await;
            Ok(answer(&tally, &tally))
        })
    }
}

/// What a record does to the function that gets it, after the function went on so many times.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Poison {
    Panics(u32),
    Kills(u32),
}

/// The panic of a function that met a record which it cannot bear.
struct Poisoned;

/// Runs a handler that meets a poisonous record: no handler of ours is known to have one, so this stands in for the one
/// that nobody knows yet.
async fn poisoned<T>(poison: Option<Poison>, work: impl Future<Output = T>) -> T {
    let Some(poison) = poison else { return work.await };
    let (Poison::Panics(after) | Poison::Kills(after)) = poison;
    let mut work = std::pin::pin!(work);
    let mut went_on = 0;
    poll_fn(|cx| {
        went_on += 1;
        let ends = went_on > after || work.as_mut().poll(cx).is_ready();
        match poison {
            Poison::Panics(_) if ends => resume_unwind(Box::new(Poisoned)),
            Poison::Kills(_) if ends => die(),
            _ => Poll::<T>::Pending,
        }
    })
    .await
}
