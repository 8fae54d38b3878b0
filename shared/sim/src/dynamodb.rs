//! Tables: DynamoDB.
//!
//! | rule | where AWS says so |
//! | --- | --- |
//! | a write may want something of the item in its place, and fails without effect where it is not so | [conditions] |
//! | a query reads the items of a partition key in their order, a page at a time | [query] |
//! | what has expired goes at once or some days later, and is still read until then | [expiry] |
//! | an item has at most 400 KB | [limits] |
//!
//! [conditions]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
//! [query]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
//! [expiry]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
//! [limits]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html

use crate::account::Account;
use millrace_core::metric::Row;
use millrace_core::port::{Between, Error, ITEM_MAX, Item, KeyTable, Kind, MetricTable, Page, When, Written};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// How many items a page has at the most: few, so that there are many pages.
const PAGE_ITEMS: u64 = 4;

/// How long after it has expired an item may stay, milliseconds.
const EXPIRED_MS: i64 = 2 * 86_400_000;

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    account: Account,
    items: RefCell<BTreeMap<(String, String), Item>>,
    writes: Cell<u32>,
    taken: RefCell<Vec<Item>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(account: &Account, name: &'static str) -> Rc<Self> {
        Rc::new(Self {
            name,
            account: account.clone(),
            items: RefCell::default(),
            taken: RefCell::default(),
            writes: Cell::new(0),
        })
    }

    /// The items in it.
    #[must_use]
    pub fn items(&self) -> Vec<Item> {
        self.items.borrow().values().cloned().collect()
    }

    /// All items that were ever written, in order, also those that are gone or were written over.
    #[must_use]
    pub fn taken(&self) -> Vec<Item> {
        self.taken.borrow().clone()
    }

    /// How many items were written, over others or not.
    #[must_use]
    pub fn writes(&self) -> u32 {
        self.writes.get()
    }

    /// Every second item goes when it has expired, the others some days later.
    fn forget(&self) {
        let now = self.account.now();
        let late_ms = |item: &Item| if item.version.is_multiple_of(2) { EXPIRED_MS } else { 0 };
        self.items.borrow_mut().retain(|_, item| item.expires_at.plus_ms(late_ms(item)) > now);
    }

    fn page(&self, key: &str, between: Between<'_>) -> Page {
        self.forget();
        let items = self.items.borrow();
        let wanted = |item: &&Item| {
            item.key == key
                && item.position.as_str() > between.after
                && between.before.is_none_or(|end| item.position.as_str() < end)
        };
        let mut wanted: Vec<_> = items.values().filter(wanted).cloned().collect();
        if between.backward {
            wanted.reverse();
        }
        let most = usize::try_from(self.account.chance().between(1, PAGE_ITEMS)).unwrap_or(1);
        let more = wanted.len() > most;
        wanted.truncate(most);
        Page { items: wanted, more }
    }

    fn put(&self, item: Item, when: When) -> Result<Written, Error> {
        if item.body.len() > ITEM_MAX || item.position.is_empty() || item.key.is_empty() {
            let what = format!("write to {}: the item is too large, or its key is empty", self.name);
            return Err(Error { what, kind: Kind::Permanent, source: None });
        }
        self.forget();
        let place = (item.key.clone(), item.position.clone());
        let mut items = self.items.borrow_mut();
        let there = items.get(&place);
        let fits = match when {
            When::Always => true,
            When::Absent => there.is_none(),
            When::Version(version) => there.is_some_and(|item| item.version == version),
        };
        self.account.tell(|| {
            let fits = if fits { "takes" } else { "refuses" };
            format!("  {}: {fits} {} at {} ({when:?})", self.name, item.key, item.position)
        });
        if !fits {
            return Ok(Written::Refused(there.cloned()));
        }
        self.writes.set(self.writes.get() + 1);
        self.taken.borrow_mut().push(item.clone());
        items.insert(place, item);
        Ok(Written::Done)
    }
}

/// A client of a table.
#[derive(Debug, Clone)]
pub struct Client(pub Rc<Table>);

impl KeyTable for Client {
    async fn page(&self, key: &str, between: Between<'_>) -> Result<Page, Error> {
        let (table, key, backward) = (Rc::clone(&self.0), key.to_owned(), between.backward);
        let (after, before) = (between.after.to_owned(), between.before.map(str::to_owned));
        let effect =
            move |_| Ok(table.page(&key, Between { after: &after, before: before.as_deref(), backward }));
        self.0.account.call(self.0.name, effect).await
    }

    async fn put(&self, item: &Item, when: When) -> Result<Written, Error> {
        let (table, item) = (Rc::clone(&self.0), item.clone());
        self.0.account.call(self.0.name, move |_| table.put(item, when)).await
    }
}

/// The table of metrics.
#[derive(Debug)]
pub struct Rows {
    name: &'static str,
    account: Account,
    items: RefCell<BTreeMap<(String, String), (Row, u64)>>,
}

impl Rows {
    /// An empty table.
    #[must_use]
    pub fn new(account: &Account, name: &'static str) -> Rc<Self> {
        Rc::new(Self { name, account: account.clone(), items: RefCell::default() })
    }

    /// The rows in it.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.items.borrow().values().map(|(row, _)| row.clone()).collect()
    }
}

/// A client of the table of metrics.
#[derive(Debug, Clone)]
pub struct RowsClient(pub Rc<Rows>);

impl MetricTable for RowsClient {
    async fn put(&self, row: &Row, attempt: u64) -> Result<bool, Error> {
        let (table, row) = (Rc::clone(&self.0), row.clone());
        let effect = move |_| {
            table.account.tell(|| format!("  {}: takes {} {}", table.name, row.metric, row.place));
            let place = (row.metric.clone(), row.place.clone());
            let mut items = table.items.borrow_mut();
            let (there, first) = items.entry(place).or_insert_with(|| (row.clone(), attempt));
            if there.reaches <= row.reaches {
                *there = row;
            }
            Ok(*first == attempt)
        };
        self.0.account.call(self.0.name, effect).await
    }

    async fn reaches(&self, metric: &str, begin: &str) -> Result<Vec<(String, String)>, Error> {
        let (table, metric, begin) = (Rc::clone(&self.0), metric.to_owned(), begin.to_owned());
        let effect =
            move |_| Ok(crate::reaches(table.items.borrow().values().map(|(row, _)| row), &metric, &begin));
        self.0.account.call(self.0.name, effect).await
    }
}
