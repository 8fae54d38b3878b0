//! What the command does on AWS, where it was built with that.

#[cfg(feature = "aws")]
pub(crate) use with::{Bucket, Clock, Keys, Lambda, Stream, invoke, run};
#[cfg(not(feature = "aws"))]
pub(crate) use without::{Bucket, Clock, Keys, Lambda, Stream, invoke, run};

#[cfg(feature = "aws")]
mod with {
    use crate::error::Error;
    use crate::run::now;
    use bytes::Bytes;
    use millrace_aws::{clients, functions, kinesis, s3, settings::Env, write_keys};
    use millrace_core::guard::Guard;
    use millrace_core::port::{self, Browse, Entry, Functions, Invoked, ObjectStore, Put, PutRecords};
    use millrace_core::quarantine::replay::CALL_MS;
    use millrace_core::write_key::Listed;

    pub(crate) use millrace_aws::clock::SystemClock as Clock;

    /// How long an answer may take, milliseconds.
    const ANSWER_MS: i64 = 60_000;

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

    pub(crate) struct Bucket(s3::Bucket);

    impl Bucket {
        pub(crate) fn open(name: &str) -> Result<Self, Error> {
            Ok(Self(s3::Bucket::new(&config()?, name.to_owned())))
        }
    }

    impl Browse for Bucket {
        async fn keys(&self, begin: &str) -> Result<Vec<String>, port::Error> {
            self.0.keys(begin).await
        }

        async fn get(&self, key: &str) -> Result<Option<Bytes>, port::Error> {
            self.0.get(key).await
        }
    }

    impl ObjectStore for Bucket {
        async fn put(&self, key: &str, body: Bytes) -> Result<(), port::Error> {
            self.0.put(key, body).await
        }

        async fn delete(&self, key: &str) -> Result<(), port::Error> {
            self.0.delete(key).await
        }
    }

    pub(crate) struct Keys(Guard<write_keys::KeysTable>);

    impl Keys {
        pub(crate) fn open(table: &str) -> Result<Self, Error> {
            let table = write_keys::KeysTable::new(&config()?, table.to_owned());
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

    pub(crate) struct Stream(kinesis::Stream);

    impl Stream {
        pub(crate) fn open(name: &str) -> Result<Self, Error> {
            Ok(Self(kinesis::Stream::new(&config()?, name.to_owned())))
        }
    }

    impl PutRecords for Stream {
        async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, port::Error> {
            self.0.put(entries).await
        }
    }

    pub(crate) struct Lambda(functions::Lambda);

    impl Lambda {
        pub(crate) fn open() -> Result<Self, Error> {
            Ok(Self(functions::Lambda::lasting(&config()?, CALL_MS.into())))
        }
    }

    impl Functions for Lambda {
        async fn invoke(&self, function: &str, event: String) -> Result<Invoked, port::Error> {
            self.0.invoke(function, event).await
        }
    }

    /// Calls a function, and gives its answer.
    pub(crate) fn invoke(function: &str, event: String) -> Result<Invoked, Error> {
        let lambda = Lambda::open()?;
        run(async { Ok(lambda.invoke(function, event).await?) })
    }
}

#[cfg(not(feature = "aws"))]
mod without {
    use crate::error::Error;
    use crate::run::now;
    use bytes::Bytes;
    use millrace_core::port::{self, Browse, Entry, Functions, Invoked, Kind, ObjectStore, Put, PutRecords};
    use millrace_core::time::Micros;
    use millrace_core::write_key::Listed;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    const WHY: &str = "this command was built without AWS: cargo install --path cli --features aws";

    fn refuse<T>() -> Result<T, Error> {
        Err(Error::Refused(WHY.to_owned()))
    }

    fn refused() -> port::Error {
        port::Error { what: WHY.to_owned(), kind: Kind::Permanent, source: None }
    }

    /// Does work that waits for nobody.
    pub(crate) fn run<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return done;
            }
        }
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

    impl Bucket {
        pub(crate) fn open(_name: &str) -> Result<Self, Error> {
            refuse()
        }
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

    impl Stream {
        #[expect(clippy::unnecessary_wraps, reason = "with AWS it may fail")]
        pub(crate) fn open(_name: &str) -> Result<Self, Error> {
            Ok(Self)
        }
    }

    impl PutRecords for Stream {
        async fn put(&self, _entries: &[Entry]) -> Result<Vec<Put>, port::Error> {
            Err(refused())
        }
    }

    pub(crate) struct Lambda;

    impl Lambda {
        #[expect(clippy::unnecessary_wraps, reason = "with AWS it may fail")]
        pub(crate) fn open() -> Result<Self, Error> {
            Ok(Self)
        }
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
