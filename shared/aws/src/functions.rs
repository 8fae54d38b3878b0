//! Functions, to be called.

use crate::clients::within;
use crate::failed;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::primitives::Blob;
use aws_types::SdkConfig;
use millrace_core::port::{Error, Functions, Invoked};
use std::time::Duration;

/// Lambda.
#[derive(Debug, Clone)]
pub struct Lambda {
    client: Client,
}

impl Lambda {
    /// All functions, which take so long at most, milliseconds.
    #[must_use]
    pub fn lasting(config: &SdkConfig, ms: u64) -> Self {
        let config = Builder::from(config).timeout_config(within(Duration::from_millis(ms))).build();
        Self { client: Client::from_conf(config) }
    }
}

impl Functions for Lambda {
    async fn invoke(&self, function: &str, event: String) -> Result<Invoked, Error> {
        let call = self.client.invoke().function_name(function).payload(Blob::new(event));
        let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        let answer = answer
            .map_err(|error| failed(format!("call the function {function}"), error.into_service_error()))?;
        if answer.function_error().is_some() {
            return Ok(Invoked::Died);
        }
        let bytes = answer.payload.map(Blob::into_inner).unwrap_or_default();
        Ok(Invoked::Answered(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
