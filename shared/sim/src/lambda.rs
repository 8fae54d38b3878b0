//! Functions: Lambda.
//!
//! | rule | where AWS says so |
//! | --- | --- |
//! | an instance takes one invocation at a time, and keeps its memory for the next | [environments] |
//! | an instance that crashes or times out is gone, with all that was in its memory | [environments] |
//! | where none is idle a new one starts; a start that fails fails the invocation | [environments] |
//! | a new version takes the invocations from then on; those at work end in the old one | [versions] |
//! | a caller can be turned away without an invocation | [throttles] |
//!
//! [environments]: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
//! [versions]: https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
//! [throttles]: https://docs.aws.amazon.com/lambda/latest/dg/invocation-retries.html

use crate::account::Account;
use crate::executor::first;
use crate::fault::InvocationFault;
use millrace_core::port::{Error, Functions, Invoked, Kind};
use millrace_core::time::Micros;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// A future that lives in one thread.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a function answers, and what it counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The answer.
    pub payload: Value,
    /// The counts.
    pub counts: Value,
}

impl Answer {
    /// The counts in few words, without what each step did.
    #[must_use]
    pub fn told(&self) -> String {
        let counts = self.counts.as_object().into_iter().flatten();
        let counts = counts.filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0));
        counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    }
}

/// A process that serves invocations.
pub trait Instance {
    /// Serves one.
    fn invoke<'a>(&'a mut self, payload: &'a Value, deadline: Micros) -> Local<'a, Result<Answer, String>>;
}

/// What starts instances.
pub trait Code {
    /// Starts one of this version.
    fn start(&self, version: u32) -> Local<'_, Result<Box<dyn Instance>, String>>;
}

/// A panic with this is the end of the process, as when memory is out; another one is caught, and the instance lives on.
#[derive(Debug, Clone, Copy)]
pub struct Dies;

/// Ends the process, from within.
///
/// # Panics
///
/// Always: that is how.
pub fn die() -> ! {
    resume_unwind(Box::new(Dies))
}

/// What a caller gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// An answer.
    Answered(Answer),
    /// The function failed: the reason is for the story.
    Failed(String),
    /// It was not invoked at all.
    Throttled,
}

/// A function.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    account: Account,
    timeout_ms: i64,
    code: Box<dyn Code>,
    version: Cell<u32>,
    idle: RefCell<Vec<Box<dyn Instance>>>,
    invocations: Cell<u32>,
    counted: RefCell<Vec<Value>>,
    accidents: RefCell<Vec<Value>>,
}

/// How long a start may take.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib>
const INIT_MAX: Duration = Duration::from_secs(10);

impl Function {
    /// A function without instances.
    #[must_use]
    pub fn new(account: &Account, name: &'static str, timeout_ms: i64, code: Box<dyn Code>) -> Rc<Self> {
        Rc::new(Self {
            name,
            account: account.clone(),
            timeout_ms,
            code,
            version: Cell::new(1),
            idle: RefCell::default(),
            invocations: Cell::new(0),
            counted: RefCell::default(),
            accidents: RefCell::default(),
        })
    }

    /// How many times it was invoked.
    #[must_use]
    pub fn invocations(&self) -> u32 {
        self.invocations.get()
    }

    /// What it counted, each time that it came to an end, whether anyone heard the answer or not.
    #[must_use]
    pub fn counted(&self) -> Vec<Value> {
        self.counted.borrow().clone()
    }

    /// The events that it failed on, whatever was in them: it did not start, or a fault ended it or lost its answer.
    #[must_use]
    pub fn accidents(&self) -> Vec<Value> {
        self.accidents.borrow().clone()
    }

    /// A new version.
    pub fn deploy(&self) {
        self.version.set(self.version.get() + 1);
        self.recycle();
    }

    /// The idle instances go.
    pub fn recycle(&self) {
        let idle = self.idle.take();
        drop(idle);
    }

    /// Invokes it and waits for the answer.
    pub async fn invoke(&self, payload: &Value) -> Outcome {
        let fault = self.account.faults().invocation(self.name);
        if let Some(how) = fault {
            self.account.tell(|| format!("{}: {how:?}", self.name));
        }
        self.account.sleep(Duration::from_millis(self.account.chance().between(1, 10))).await;
        if fault == Some(InvocationFault::Throttled) {
            return Outcome::Throttled;
        }
        self.invocations.set(self.invocations.get() + 1);
        let version = self.version.get();
        let mut instance = match self.instance(version, fault).await {
            Ok(instance) => instance,
            Err(why) => {
                self.accidents.borrow_mut().push(payload.clone());
                return Outcome::Failed(format!("it does not start: {why}"));
            }
        };
        let outcome = match self.run(&mut *instance, payload, fault).await {
            Ran::Done(answer) => {
                if version == self.version.get() {
                    self.idle.borrow_mut().push(instance);
                }
                if let Ok(answer) = &answer {
                    self.counted.borrow_mut().push(answer.counts.clone());
                }
                match answer {
                    Ok(_) if fault == Some(InvocationFault::AnswerLost) => {
                        Outcome::Failed("its answer is lost".into())
                    }
                    Ok(answer) => Outcome::Answered(answer),
                    Err(why) => Outcome::Failed(why),
                }
            }
            Ran::Ended(why) => Outcome::Failed(why.into()),
        };
        if let Some(InvocationFault::Crash(_) | InvocationFault::Hang(_) | InvocationFault::AnswerLost) =
            fault
            && matches!(outcome, Outcome::Failed(_))
        {
            self.accidents.borrow_mut().push(payload.clone());
        }
        outcome
    }

    async fn instance(
        &self,
        version: u32,
        fault: Option<InvocationFault>,
    ) -> Result<Box<dyn Instance>, String> {
        let idle = self.idle.borrow().len();
        if idle > 0 && fault != Some(InvocationFault::Cold) {
            return Ok(self.idle.borrow_mut().swap_remove(self.account.chance().place(idle)));
        }
        self.account.tell(|| format!("{}: an instance of version {version} starts", self.name));
        let start = first(self.code.start(version), self.account.sleep(INIT_MAX)).await;
        start.unwrap_or_else(|()| Err("it takes too long".into()))
    }

    async fn run(&self, instance: &mut dyn Instance, payload: &Value, fault: Option<InvocationFault>) -> Ran {
        let deadline = self.account.now().plus_ms(self.timeout_ms);
        let mut work = instance.invoke(payload, deadline);
        let mut went_on = 0;
        let work = poll_fn(|cx| {
            went_on += 1;
            match fault {
                Some(InvocationFault::Crash(after)) if went_on > after => {
                    return Poll::Ready(Ran::Ended("it crashes"));
                }
                Some(InvocationFault::Hang(after)) if went_on > after => return Poll::Pending,
                _ => {}
            }
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(polled) => polled.map(Ran::Done),
                Err(panic) if panic.is::<Dies>() => Poll::Ready(Ran::Ended("it dies")),
                Err(panic) if panic.is::<&str>() || panic.is::<String>() => resume_unwind(panic), // a true bug
                Err(_) => Poll::Ready(Ran::Done(Err("it panics".into()))),
            }
        });
        let timeout = Duration::from_millis(u64::try_from(self.timeout_ms).unwrap_or_default());
        first(work, self.account.sleep(timeout)).await.unwrap_or(Ran::Ended("it times out"))
    }
}

enum Ran {
    Done(Result<Answer, String>),
    Ended(&'static str),
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A client that invokes functions by name or ARN, and waits for their answers.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
#[derive(Debug, Clone)]
pub struct Client {
    /// The account.
    pub account: Account,
    /// The functions.
    pub functions: Vec<Rc<Function>>,
}

impl Functions for Client {
    async fn invoke(&self, function: &str, event: String) -> Result<Invoked, Error> {
        let what = |why: &str| format!("invoke {function}: {why}");
        let name = function.rsplit(':').next().unwrap_or_default();
        let Some(known) = self.functions.iter().find(|known| known.name == name) else {
            return Err(Error {
                what: what("there is no such function"),
                kind: Kind::Permanent,
                source: None,
            });
        };
        let event = serde_json::from_str(&event).map_err(|error| Error {
            what: what("the event is not JSON"),
            kind: Kind::Permanent,
            source: Some(Box::new(error)),
        })?;
        self.account.tell(|| format!("  {name} is to be invoked by another function"));
        // Whoever loses the answer of a call has called all the same.
        let (known, account) = (Rc::clone(known), self.account.clone());
        let effect = move |_| {
            let answer = account.begin(async move { known.invoke(&event).await });
            Ok(answer)
        };
        match self.account.call("lambda", effect).await?.await {
            Outcome::Answered(answer) => Ok(Invoked::Answered(answer.payload.to_string())),
            Outcome::Failed(why) => {
                self.account.tell(|| format!("  {name} fails: {why}"));
                Ok(Invoked::Died)
            }
            Outcome::Throttled => Err(Error { what: what("throttled"), kind: Kind::Throttled, source: None }),
        }
    }
}
