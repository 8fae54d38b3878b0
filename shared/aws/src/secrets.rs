//! A secret of Secrets Manager.

use crate::clients::within;
use crate::failed;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_types::SdkConfig;
use millrace_core::port::{Error, Kind, Secret};
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
