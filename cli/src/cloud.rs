//! What the command does on AWS, where it was built with that.

#[cfg(feature = "aws")]
pub(crate) use with::{Bucket, Clock, Keys, Stream, bucket, invoke, lambda, run, stream};
#[cfg(not(feature = "aws"))]
pub(crate) use without::{Bucket, Clock, Keys, Stream, bucket, invoke, lambda, run, stream};

#[cfg(feature = "aws")]
mod with {
    use crate::error::Error;
    use crate::run::now;
    use millrace_aws::{clients, functions::Lambda, settings::Env, write_keys::KeysTable};
    use millrace_core::guard::Guard;
    use millrace_core::port::{Functions as _, Invoked};
    use millrace_core::quarantine::{read::ANSWER_MS, replay::CALL_MS};
    use millrace_core::write_key::Listed;

    pub(crate) use millrace_aws::{clock::SystemClock as Clock, kinesis::Stream, s3::Bucket};

    /// Does work that waits for others.
    pub(crate) fn run<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Io {
            tried: "cannot start",
            place: "a runtime".into(),
            source,
        })?;
        runtime.block_on(work)
    }

    fn config() -> Result<aws_types::SdkConfig, Error> {
        let mut env = Env::of_process();
        let config = clients::config(&mut env);
        env.check().map_err(|missing| {
            Error::Refused(format!(
                "the environment wants for {}: `eval \"$(aws configure export-credentials --format env)\"` sets the \
                 credentials, and AWS_REGION is the stack's region",
                missing.names()
            ))
        })?;
        Ok(config)
    }

    pub(crate) fn bucket(name: &str) -> Result<Bucket, Error> {
        Ok(Bucket::new(&config()?, name.to_owned()))
    }

    pub(crate) fn stream(name: &str) -> Result<Stream, Error> {
        Ok(Stream::new(&config()?, name.to_owned()))
    }

    pub(crate) fn lambda() -> Result<Lambda, Error> {
        Ok(Lambda::lasting(&config()?, CALL_MS.into()))
    }

    pub(crate) struct Keys(Guard<KeysTable>);

    impl Keys {
        pub(crate) fn open(table: &str) -> Result<Self, Error> {
            let table = KeysTable::new(&config()?, table.to_owned());
            Ok(Self(Guard::patient("the keys", table)))
        }

        pub(crate) fn list(&self) -> Result<Vec<Listed>, Error> {
            let deadline = now().plus_ms(ANSWER_MS);
            run(async { Ok(self.0.call(&Clock, deadline, async |table| table.list().await).await?) })
        }

        pub(crate) fn add(&self, key: &Listed) -> Result<(), Error> {
            let deadline = now().plus_ms(ANSWER_MS);
            run(async { Ok(self.0.call(&Clock, deadline, async |table| table.add(key).await).await?) })
        }

        pub(crate) fn revoke(&self, hash: &str) -> Result<(), Error> {
            let deadline = now().plus_ms(ANSWER_MS);
            run(async { Ok(self.0.call(&Clock, deadline, async |table| table.revoke(hash).await).await?) })
        }
    }

    /// Calls a function, and gives its answer.
    pub(crate) fn invoke(function: &str, event: String) -> Result<Invoked, Error> {
        let lambda = lambda()?;
        run(async { Ok(lambda.invoke(function, event).await?) })
    }
}

#[cfg(not(feature = "aws"))]
mod without {
    use crate::error::Error;
    use crate::run::now;
    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use millrace_core::port::{self, Browse, Entry, Functions, Invoked, Kind, ObjectStore, Put, PutRecords};
    use millrace_core::time::Micros;
    use millrace_core::write_key::Listed;
    use std::time::Duration;

    const WHY: &str = "this command was built without AWS: cargo install --path cli --features aws";

    fn refuse<T>() -> Result<T, Error> {
        Err(Error::Refused(WHY.to_owned()))
    }

    fn refused() -> port::Error {
        port::Error { what: WHY.to_owned(), kind: Kind::Permanent, source: None }
    }

    /// Does work that waits for nobody.
    #[expect(clippy::expect_used, reason = "an invariant")]
    pub(crate) fn run<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        work.now_or_never().expect("files are there at once, and the clock sleeps where it is asked to")
    }

    pub(crate) struct Clock;

    impl port::Clock for Clock {
        fn now(&self) -> Micros {
            now()
        }

        async fn sleep(&self, time: Duration) {
            std::thread::sleep(time);
        }

        fn random(&self) -> u64 {
            fastrand::u64(..)
        }
    }

    pub(crate) enum Bucket {}

    pub(crate) fn bucket(_name: &str) -> Result<Bucket, Error> {
        refuse()
    }

    impl Browse for Bucket {
        async fn keys(&self, _begin: &str) -> Result<Vec<String>, port::Error> {
            match *self {}
        }

        async fn get(&self, _key: &str) -> Result<Option<Bytes>, port::Error> {
            match *self {}
        }
    }

    impl ObjectStore for Bucket {
        async fn put(&self, _key: &str, _body: Bytes) -> Result<(), port::Error> {
            match *self {}
        }

        async fn delete(&self, _key: &str) -> Result<(), port::Error> {
            match *self {}
        }
    }

    pub(crate) enum Keys {}

    impl Keys {
        pub(crate) fn open(_table: &str) -> Result<Self, Error> {
            refuse()
        }

        pub(crate) fn list(&self) -> Result<Vec<Listed>, Error> {
            match *self {}
        }

        pub(crate) fn add(&self, _key: &Listed) -> Result<(), Error> {
            match *self {}
        }

        pub(crate) fn revoke(&self, _hash: &str) -> Result<(), Error> {
            match *self {}
        }
    }

    /// Who has nothing to send need not know that nothing can be sent.
    pub(crate) struct Stream;

    #[expect(clippy::unnecessary_wraps, reason = "with AWS it may fail")]
    pub(crate) fn stream(_name: &str) -> Result<Stream, Error> {
        Ok(Stream)
    }

    impl PutRecords for Stream {
        async fn put(&self, _entries: &[Entry]) -> Result<Vec<Put>, port::Error> {
            Err(refused())
        }
    }

    pub(crate) struct Lambda;

    #[expect(clippy::unnecessary_wraps, reason = "with AWS it may fail")]
    pub(crate) fn lambda() -> Result<Lambda, Error> {
        Ok(Lambda)
    }

    impl Functions for Lambda {
        async fn invoke(&self, _function: &str, _event: String) -> Result<Invoked, port::Error> {
            Err(refused())
        }
    }

    pub(crate) fn invoke(_function: &str, _event: String) -> Result<Invoked, Error> {
        refuse()
    }
}
