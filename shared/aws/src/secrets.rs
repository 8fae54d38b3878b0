//! A secret of Secrets Manager.

use crate::clients::within;
use crate::clock::SystemClock;
use crate::failed;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_types::SdkConfig;
use millrace_core::guard::Guard;
use millrace_core::keys::{Keys, NoKeys};
use millrace_core::port::{Clock as _, Error, Kind, Secret};
use std::time::Duration;

/// A secret, by name or ARN.
#[derive(Debug, Clone)]
pub struct Stored {
    client: Client,
    id: String,
}

impl Stored {
    /// The secret of this name or ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, id: String) -> Self {
        let config = Builder::from(config).timeout_config(within(Duration::from_secs(2))).build();
        Self { client: Client::from_conf(config), id }
    }
}

/// How long a start waits for a secret, milliseconds: Lambda gives a start 10 s.
const START_MS: i64 = 8_000;

/// What the secret of this name or ARN holds, as a start needs it; `name` is what it is to the function.
pub async fn fetch<K, B>(
    name: &'static str,
    config: &SdkConfig,
    id: String,
    read: impl Fn(&str) -> Result<K, B>,
) -> Result<Keys<Stored, K>, NoKeys<B>> {
    let secret = Guard::patient(name, Stored::new(config, id));
    Keys::fetch(secret, &SystemClock, SystemClock.now().plus_ms(START_MS), read).await
}

impl Secret for Stored {
    async fn get(&self) -> Result<String, Error> {
        let what = || format!("get the secret {}", self.id);
        let call = self.client.get_secret_value().secret_id(&self.id);
        let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        // The text of the error only: the Debug of an answer that could not be read holds that answer.
        let answer = answer.map_err(|error| {
            let error = failed(what(), error.into_service_error());
            Error { what: error.chain(), kind: error.kind, source: None }
        })?;
        let text = answer.secret_string().map(str::to_owned);
        text.ok_or_else(|| Error {
            what: format!("{}: it holds no text", what()),
            kind: Kind::Permanent,
            source: None,
        })
    }
}
