//! The SDK's configuration, once for all clients.

use crate::settings::Env;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::SdkConfig;
use std::time::Duration;

/// Region, credentials and endpoint, from the environment and nowhere else. No call is made.
///
/// A sandbox has its role's credentials in the environment, for as long as it lives, so the SDK's chain of other places
/// (profiles, STS, the metadata service) would only be loaded and never asked.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
///
/// An attempt gets 10 s, a connection 1 s: a dependency that hangs must not eat the invocation. The SDK tries once: the
/// core insists, with a policy, a breaker and the deadline, and attempts beneath attempts would multiply.
pub fn config<F: Fn(&str) -> Option<String>>(env: &mut Env<F>) -> SdkConfig {
    let (key, secret) = (env.text("AWS_ACCESS_KEY_ID"), env.text("AWS_SECRET_ACCESS_KEY"));
    let credentials = Credentials::new(key, secret, env.optional("AWS_SESSION_TOKEN"), None, "environment");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(env.text("AWS_REGION")))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
        .timeout_config(within(Duration::from_secs(10)))
        .retry_config(RetryConfig::disabled());
    config.set_endpoint_url(env.optional("AWS_ENDPOINT_URL"));
    config.build()
}

/// Timeouts with this long for an attempt.
pub(crate) fn within(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(attempt)
        .build()
}
