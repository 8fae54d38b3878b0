//! The key for tokens, from Secrets Manager.

use crate::failed;
use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;
use millrace_core::token::{NoKey, TokenKey};
use std::fmt;

/// Why there is no key. Nothing of the secret is in it.
#[derive(thiserror::Error)]
#[error("the token key in the secret {secret}: {why}")]
pub struct NoTokenKey {
    secret: String,
    why: String,
}

/// What `main` returns shows through Debug, and is meant for people.
impl fmt::Debug for NoTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fetches the key from the secret of this name or ARN.
pub async fn token_key(config: &SdkConfig, secret: &str) -> Result<TokenKey, NoTokenKey> {
    let refuse = |why: String| NoTokenKey { secret: secret.to_owned(), why };
    let answer = Client::new(config).get_secret_value().secret_id(secret).send().await;
    // Texts only: the Debug of an answer that could not be read holds that answer.
    let answer = answer
        .map_err(|error| refuse(failed("get the secret".to_owned(), error.into_service_error()).chain()))?;
    let text = answer.secret_string().ok_or_else(|| refuse("it holds no text".to_owned()))?;
    TokenKey::parse(text).map_err(|why: NoKey| refuse(why.to_string()))
}
