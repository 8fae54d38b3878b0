//! Runs futures in virtual time, one after the other, in an order that chance says.
//!
//! Nothing waits in truth: when all tasks sleep, the clock jumps to the first that wakes. So an hour of retries takes
//! milliseconds, and the same seed makes the same run.

use crate::chance::Chance;
use millrace_core::time::Micros;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks and the clock. Clones are the same executor.
#[derive(Clone)]
pub struct Executor(Rc<Inner>);

struct Inner {
    now: Cell<Micros>,
    chance: Chance,
    tasks: RefCell<BTreeMap<u64, Task>>,
    spawned: Cell<u64>,
    /// Who sleeps until when; the two numbers behind the moment make the order of those that wake at once.
    sleeping: RefCell<BTreeMap<(Micros, u64, u64), Waker>>,
    slept: Cell<u64>,
    woken: Arc<Woken>,
    steps: Cell<u64>,
}

#[derive(Default)]
struct Woken(Mutex<Vec<u64>>);

impl Woken {
    fn push(&self, task: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Takes one of the tasks that may go on.
    fn pop(&self, chance: &Chance) -> Option<u64> {
        let mut woken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if woken.is_empty() {
            return None;
        }
        let place = chance.place(woken.len());
        Some(woken.swap_remove(place))
    }
}

struct TaskWaker {
    task: u64,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.woken.push(self.task);
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing is left to do.
    Quiet,
    /// There was still work at the last moment, or after the last step, that a run may have: it may be without end.
    Busy,
}

impl Executor {
    /// An executor whose clock stands at this moment.
    #[must_use]
    pub fn new(now: Micros, chance: Chance) -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(now),
            chance,
            tasks: RefCell::default(),
            spawned: Cell::default(),
            sleeping: RefCell::default(),
            slept: Cell::default(),
            woken: Arc::default(),
            steps: Cell::default(),
        }))
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.0.now.get()
    }

    /// How many times a task went on.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.0.steps.get()
    }

    /// Begins a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let id = self.0.spawned.get();
        self.0.spawned.set(id + 1);
        self.0.tasks.borrow_mut().insert(id, Box::pin(task));
        self.0.woken.push(id);
    }

    /// Waits, at least as long as the clock's finest step, so that others may go on in between.
    pub async fn sleep(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX).max(1);
        let until = Micros::new(self.now().get().saturating_add(micros));
        self.sleep_until(until.unwrap_or(Micros::EPOCH)).await;
    }

    /// Waits for a moment; not at all where it has come.
    pub async fn sleep_until(&self, moment: Micros) {
        let mut timer = None;
        poll_fn(|cx| {
            if self.now() >= moment {
                return Poll::Ready(());
            }
            if timer.is_none() {
                let serial = self.0.slept.get();
                self.0.slept.set(serial + 1);
                let place = (moment, self.0.chance.next(), serial);
                self.0.sleeping.borrow_mut().insert(place, cx.waker().clone());
                timer = Some(Timer { executor: self, place });
            }
            Poll::Pending
        })
        .await;
    }

    /// Lets all tasks go on until none can any more, up to this moment and this number of steps.
    #[must_use]
    pub fn run(&self, until: Micros, steps_max: u64) -> End {
        loop {
            if self.steps() >= steps_max {
                return End::Busy;
            }
            if let Some(id) = self.0.woken.pop(&self.0.chance) {
                self.step(id);
                continue;
            }
            let mut sleeping = self.0.sleeping.borrow_mut();
            let Some(next) = sleeping.first_entry() else { return End::Quiet };
            let (moment, ..) = *next.key();
            if moment > until {
                return End::Busy;
            }
            self.0.now.set(moment.max(self.now()));
            next.remove().wake();
        }
    }

    fn step(&self, id: u64) {
        // The task is out of the map while it runs, so that it may spawn others.
        let Some(mut task) = self.0.tasks.borrow_mut().remove(&id) else { return };
        self.0.steps.set(self.steps() + 1);
        let waker = Waker::from(Arc::new(TaskWaker { task: id, woken: Arc::clone(&self.0.woken) }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.0.tasks.borrow_mut().insert(id, task);
        }
    }

    /// Ends all tasks.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
    }
}

/// Someone who sleeps. Dropped before the time has come, nobody wakes for it.
struct Timer<'a> {
    executor: &'a Executor,
    place: (Micros, u64, u64),
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.executor.0.sleeping.borrow_mut().remove(&self.place);
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// Wakes those that wait for something to happen.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Bell {
    /// It happened.
    pub fn ring(&self) {
        self.rung.set(self.rung.get() + 1);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits until it happens.
    pub async fn wait(&self) {
        let before = self.rung.get();
        poll_fn(|cx| {
            if self.rung.get() > before {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Waits for whichever is done first; the other one is dropped where it stands.
pub async fn first<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> Result<A, B> {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(done) = a.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        b.as_mut().poll(cx).map(Err)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> Vec<(i64, u32)> {
        let executor = Executor::new(Micros::EPOCH, Chance::new(seed, "executor"));
        let times = Rc::new(RefCell::new(Vec::new()));
        for task in 0..3 {
            let (own, times) = (executor.clone(), Rc::clone(&times));
            executor.spawn(async move {
                for _ in 0..2 {
                    own.sleep(Duration::from_hours(1)).await;
                    times.borrow_mut().push((own.now().get() / 1_000_000, task));
                }
            });
        }
        assert_eq!(executor.run(Micros::EPOCH.plus_ms(86_400_000), 1_000), End::Quiet);
        times.take()
    }

    #[test]
    fn time_passes_in_order_and_chance_says_who_comes_first() {
        let times = |seed| run(seed).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(times(1), [3600, 3600, 3600, 7200, 7200, 7200]);
        assert_eq!(run(1), run(1));
        assert!((2..20).any(|seed| run(seed) != run(1)));
    }

    #[test]
    fn work_without_end_is_told() {
        let executor = Executor::new(Micros::EPOCH, Chance::new(1, "executor"));
        let own = executor.clone();
        executor.spawn(async move {
            loop {
                own.sleep(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(executor.run(Micros::EPOCH.plus_ms(10_000), 1_000), End::Busy);
        assert_eq!(executor.run(Micros::EPOCH.plus_ms(i64::MAX), 1_000), End::Busy);
        executor.clear();
        assert_eq!(executor.run(Micros::EPOCH.plus_ms(i64::MAX), 2_000), End::Quiet);
    }

    #[test]
    fn a_bell_wakes_all_that_wait_and_the_slower_future_is_dropped() {
        let executor = Executor::new(Micros::EPOCH, Chance::new(1, "executor"));
        let bell = Rc::new(Bell::default());
        let heard = Rc::new(Cell::new(0));
        for _ in 0..2 {
            let (own, bell, heard) = (executor.clone(), Rc::clone(&bell), Rc::clone(&heard));
            executor.spawn(async move {
                let slow = own.sleep(Duration::from_mins(1));
                if first(bell.wait(), slow).await.is_ok() {
                    heard.set(heard.get() + 1);
                }
            });
        }
        let own = executor.clone();
        executor.spawn(async move {
            own.sleep(Duration::from_secs(1)).await;
            bell.ring();
        });
        assert_eq!(executor.run(Micros::EPOCH.plus_ms(86_400_000), 1_000), End::Quiet);
        assert_eq!(heard.get(), 2);
    }
}
