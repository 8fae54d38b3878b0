//! What the command does on AWS, where it was built with that.

#[cfg(feature = "aws")]
pub(crate) use with::{Bucket, Keys, invoke, publish};
#[cfg(not(feature = "aws"))]
pub(crate) use without::{Bucket, Keys, invoke, publish};

#[cfg(feature = "aws")]
mod with {
    use crate::error::Error;
    use crate::run::now;
    use millrace_aws::{
        clients, clock::SystemClock, functions::Lambda, kinesis::Stream, s3, settings::Env, write_keys,
    };
    use millrace_core::guard::Guard;
    use millrace_core::port::{self, Entry, Functions as _, Invoked, ObjectStore as _};
    use millrace_core::publish::Left;
    use millrace_core::write_key::Listed;

    /// How long an answer may take, milliseconds.
    const ANSWER_MS: i64 = 60_000;

    /// How long a function may take, milliseconds: as long as any.
    const CALL_MS: u64 = 900_000;

    fn run<T>(work: impl Future<Output = Result<T, port::Error>>) -> Result<T, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Io {
            tried: "cannot start",
            place: "a runtime".into(),
            source,
        })?;
        runtime.block_on(work).map_err(|why| Error::Refused(why.chain()))
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

    pub(crate) struct Bucket(Guard<s3::Bucket>);

    impl Bucket {
        pub(crate) fn open(name: &str) -> Result<Self, Error> {
            Ok(Self(Guard::patient("the quarantine", s3::Bucket::new(&config()?, name.to_owned()))))
        }

        pub(crate) fn list(&self, prefix: &str) -> Result<Vec<String>, Error> {
            let deadline = now().plus_ms(ANSWER_MS);
            run(self.0.call(&SystemClock, deadline, async |bucket| bucket.list(prefix).await))
        }

        pub(crate) fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
            let deadline = now().plus_ms(ANSWER_MS);
            run(self.0.call(&SystemClock, deadline, async |bucket| bucket.get(key).await))
        }

        pub(crate) fn put(&self, key: &str, body: Vec<u8>) -> Result<(), Error> {
            let (deadline, body) = (now().plus_ms(ANSWER_MS), bytes::Bytes::from(body));
            run(self.0.call(&SystemClock, deadline, async |bucket| bucket.put(key, body.clone()).await))
        }

        pub(crate) fn delete(&self, key: &str) -> Result<(), Error> {
            let deadline = now().plus_ms(ANSWER_MS);
            run(self.0.call(&SystemClock, deadline, async |bucket| bucket.delete(key).await))
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
            run(self.0.call(&SystemClock, deadline, async |table| table.list().await))
        }

        pub(crate) fn add(&self, key: &Listed) -> Result<(), Error> {
            let deadline = now().plus_ms(ANSWER_MS);
            run(self.0.call(&SystemClock, deadline, async |table| table.add(key).await))
        }

        pub(crate) fn revoke(&self, hash: &str) -> Result<(), Error> {
            let deadline = now().plus_ms(ANSWER_MS);
            run(self.0.call(&SystemClock, deadline, async |table| table.revoke(hash).await))
        }
    }

    /// Puts records into a stream, all of them.
    pub(crate) fn publish(stream: &str, entries: Vec<Entry>) -> Result<(), Error> {
        let stream = Guard::patient("the stream", Stream::new(&config()?, stream.to_owned()));
        let deadline = now().plus_ms(ANSWER_MS);
        run(async {
            let put = millrace_core::publish::publish(&stream, entries, &SystemClock, deadline).await;
            put.map_err(|Left { why, .. }| why)
        })
    }

    /// Calls a function, and gives its answer.
    pub(crate) fn invoke(function: &str, event: String) -> Result<Invoked, Error> {
        let lambda = Lambda::lasting(&config()?, CALL_MS);
        run(lambda.invoke(function, event))
    }
}

#[cfg(not(feature = "aws"))]
mod without {
    use crate::error::Error;
    use millrace_core::port::{Entry, Invoked};
    use millrace_core::write_key::Listed;

    fn refuse<T>() -> Result<T, Error> {
        let why = "this command was built without AWS: cargo install --path cli --features aws";
        Err(Error::Refused(why.to_owned()))
    }

    pub(crate) enum Bucket {}

    impl Bucket {
        pub(crate) fn open(_name: &str) -> Result<Self, Error> {
            refuse()
        }

        pub(crate) fn list(&self, _prefix: &str) -> Result<Vec<String>, Error> {
            match *self {}
        }

        pub(crate) fn get(&self, _key: &str) -> Result<Vec<u8>, Error> {
            match *self {}
        }

        pub(crate) fn put(&self, _key: &str, _body: Vec<u8>) -> Result<(), Error> {
            match *self {}
        }

        pub(crate) fn delete(&self, _key: &str) -> Result<(), Error> {
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

    pub(crate) fn publish(_stream: &str, _entries: Vec<Entry>) -> Result<(), Error> {
        refuse()
    }

    pub(crate) fn invoke(_function: &str, _event: String) -> Result<Invoked, Error> {
        refuse()
    }
}
