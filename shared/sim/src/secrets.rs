//! Secrets: Secrets Manager, which a function asks when it starts.
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

use crate::account::Account;
use millrace_core::port::{self, Error};
use std::cell::RefCell;
use std::rc::Rc;

/// A secret.
#[derive(Debug)]
pub struct Secret {
    account: Account,
    value: RefCell<String>,
}

impl Secret {
    /// A secret of this value.
    #[must_use]
    pub fn new(account: &Account, value: &str) -> Rc<Self> {
        Rc::new(Self { account: account.clone(), value: RefCell::new(value.to_owned()) })
    }

    /// Puts another value in its place.
    pub fn rotate(&self, value: &str) {
        value.clone_into(&mut self.value.borrow_mut());
    }
}

/// A client of a secret.
#[derive(Debug, Clone)]
pub struct Client(pub Rc<Secret>);

impl port::Secret for Client {
    async fn get(&self) -> Result<String, Error> {
        let secret = Rc::clone(&self.0);
        self.0.account.call("secrets", move |_| Ok(secret.value.borrow().clone())).await
    }
}
