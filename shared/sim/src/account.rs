//! What all services of a simulated AWS account share: the clock, chance, the faults, the network and the story.

use crate::chance::Chance;
use crate::executor::{Bell, Executor, first};
use crate::fault::{CallFault, Faults};
use millrace_core::port::{Clock, Error, Kind};
use millrace_core::time::Micros;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How long a client waits for an answer: what `shared/aws` sets for its clients.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(3);

/// An account. Clones are the same account.
#[derive(Clone)]
pub struct Account(Rc<Inner>);

struct Inner {
    executor: Executor,
    chance: Chance,
    faults: Faults,
    story: RefCell<Vec<String>>,
    tells: bool,
}

impl Account {
    /// An account that lives from this moment on, with this seed and these faults. Where it `tells`, it keeps what
    /// happens as a story.
    #[must_use]
    pub fn new(now: Micros, seed: u64, faults: Vec<crate::fault::Fault>, tells: bool) -> Self {
        Self(Rc::new(Inner {
            executor: Executor::new(now, Chance::new(seed, "order")),
            chance: Chance::new(seed, "account"),
            faults: Faults::new(faults, Chance::new(seed, "faults")),
            story: RefCell::default(),
            tells,
        }))
    }

    /// Who runs.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// Chance.
    #[must_use]
    pub fn chance(&self) -> &Chance {
        &self.0.chance
    }

    /// The faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// The true time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.0.executor.now()
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        self.0.executor.sleep(time).await;
    }

    /// Adds a line to the story.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if self.0.tells {
            let line = format!("{} {}", self.now().rfc3339(), line());
            self.0.story.borrow_mut().push(line);
        }
    }

    /// What happened, in order.
    #[must_use]
    pub fn story(&self) -> Vec<String> {
        self.0.story.borrow().clone()
    }

    /// One call over the network: `effect` is what the service does. It gets the fault that it has to look after itself,
    /// which is a partial one.
    ///
    /// A caller that is dropped while it waits takes nothing back: what is on its way to the service arrives.
    pub async fn call<T: 'static>(
        &self,
        service: &'static str,
        effect: impl FnOnce(Option<CallFault>) -> Result<T, Error> + 'static,
    ) -> Result<T, Error> {
        let fault = self.0.faults.call(service, self.now());
        if let Some(how) = fault {
            self.tell(|| format!("  {service}: {how:?}"));
        }
        let millis = |first, last| Duration::from_millis(self.0.chance.between(first, last));
        let (there, back) = (millis(1, 20), millis(1, 20));
        match fault {
            Some(CallFault::Refused(kind)) => {
                self.sleep(there + back).await;
                Err(refused(service, kind))
            }
            Some(CallFault::AnswerLost) => {
                let _ = self.deliver(there, move || effect(None)).await;
                self.sleep(CLIENT_TIMEOUT).await;
                Err(refused(service, Kind::Transient))
            }
            Some(CallFault::Late(late)) => {
                let late = self.deliver(CLIENT_TIMEOUT + late, move || effect(None));
                let _ = first(late, self.sleep(CLIENT_TIMEOUT)).await;
                Err(refused(service, Kind::Transient))
            }
            partial => {
                let answer = self.deliver(there, move || effect(partial)).await;
                self.sleep(back).await;
                answer
            }
        }
    }

    /// Does this after some time, whether anyone still waits for it or not.
    async fn deliver<T: 'static>(&self, after: Duration, effect: impl FnOnce() -> T + 'static) -> T {
        let account = self.clone();
        let later = async move {
            account.sleep(after).await;
            effect()
        };
        self.detach(later).await
    }

    /// Does this and waits for it; it is done to the end even where the one who waits is dropped.
    pub async fn detach<T: 'static>(&self, work: impl Future<Output = T> + 'static) -> T {
        self.begin(work).await
    }

    /// Begins to do this, to the end; what is handed back waits for it.
    pub fn begin<T: 'static, W: Future<Output = T> + 'static>(
        &self,
        work: W,
    ) -> impl Future<Output = T> + use<T, W> {
        let result = Rc::new(Cell::new(None));
        let bell = Rc::new(Bell::default());
        let sender = (Rc::clone(&result), Rc::clone(&bell));
        self.0.executor.spawn(async move {
            sender.0.set(Some(work.await));
            sender.1.ring();
        });
        async move {
            loop {
                if let Some(result) = result.take() {
                    return result;
                }
                bell.wait().await;
            }
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("now", &self.now()).finish_non_exhaustive()
    }
}

fn refused(service: &str, kind: Kind) -> Error {
    Error { what: format!("call {service}"), kind, source: None }
}

/// The clock of one machine, which may be wrong.
#[derive(Debug, Clone)]
pub struct SkewedClock {
    account: Account,
    ahead_ms: i64,
}

impl SkewedClock {
    /// A clock that is so far ahead of the true time, or behind it.
    #[must_use]
    pub fn new(account: &Account, ahead_ms: i64) -> Self {
        Self { account: account.clone(), ahead_ms }
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Micros {
        self.account.now().plus_ms(self.ahead_ms)
    }

    async fn sleep(&self, time: Duration) {
        self.account.sleep(time).await;
    }

    fn random(&self) -> u64 {
        self.account.chance().next()
    }
}
