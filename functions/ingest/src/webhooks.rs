//! Webhooks in, records of RawStream out.
//!
//! Who sends is told by a signature over the body's bytes ([`millrace_core::webhook`]); what is not signed right is refused,
//! and nothing of it is read. What is becomes one event: the vendor's id, type and time in the pipeline's own fields,
//! `webhook` with the source's name, and the body as it came under `data`.
//!
//! Vendors send again what was not answered in time, under the same id, and so does who recorded a request. An id is noted
//! once its event is safe, never before: a put that fails leaves nothing behind that would refuse the vendor's next
//! attempt. What comes with a noted id is answered 200 and goes no further. Of two that come at once, before either is
//! noted, both go on; they have the same id and so the same partition key, and `transform` lets one of them out.

use crate::answer::{Answer, Problem};
use crate::events::{self, RECORD_MAX, Stamp};
use crate::request::{HttpRequest, Request, Route, is_json};
use millrace_core::decode;
use millrace_core::event::{Event, Flaw, New, Path};
use millrace_core::guard::{Guard, Health};
use millrace_core::keys::Keys;
use millrace_core::pipeline::EventSettings;
use millrace_core::port::{Between, Clock, Error, Item, KeyTable, PutRecords, Queue, Secret, When};
use millrace_core::time::Micros;
use millrace_core::token::fingerprint;
use millrace_core::webhook::{Brings, News, Scheme, Sources};
use serde::Serialize;
use std::borrow::Cow;
use std::convert::Infallible;

/// What the function needs of the world.
#[derive(Debug)]
pub struct Deps<P, Q, T, S, C> {
    /// What `ingest` needs, too.
    pub ingest: crate::Deps<P, Q, C, Infallible>,
    /// Who may send.
    pub sources: Keys<S, Sources>,
    /// Which ids came.
    pub ids: Guard<T>,
}

impl<P, Q, T, S: Secret, C> Deps<P, Q, T, S, C> {
    /// How the dependencies are, as far as that is worth telling.
    pub fn health(&self) -> Vec<Health> {
        let own = self.ids.health().into_iter().chain(self.sources.health());
        self.ingest.health().into_iter().chain(own).collect()
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// A new event, which is safe.
    pub accepted: usize,
    /// An event that came before.
    pub known: usize,
    /// Refused.
    pub refused: usize,
    /// Of the accepted: in the spill queue instead of RawStream.
    pub spilled: usize,
}

/// How long a vendor waits for the answer, milliseconds, all in all: Slack three seconds, Shopify five. A second less is
/// tried with Kinesis before the event is spilled.
const ANSWER_MS: i64 = 5_000;

/// How long the table may take to say whether it knows an id, milliseconds. The other half of the second is for Kinesis: a table
/// that hangs keeps no event out.
const LOOK_MS: i64 = 500;

/// For how long an id is known, milliseconds: a week. Stripe sends again for three days, the others for less.
/// <https://docs.stripe.com/webhooks#automatic-retries>
const KNOWN_MS: i64 = 7 * 86_400_000;

/// The largest body, bytes: what one record of RawStream holds.
pub const BODY_MAX: usize = RECORD_MAX;

/// Answers one request.
pub async fn handle<P: PutRecords, Q: Queue, T: KeyTable, S: Secret, C: Clock>(
    request: HttpRequest,
    deadline: Micros,
    deps: &mut Deps<P, Q, T, S, C>,
) -> (Answer, Tally) {
    take(request, deadline, deps)
        .await
        .unwrap_or_else(|problem| (problem.into(), Tally { refused: 1, ..Tally::default() }))
}

async fn take<P: PutRecords, Q: Queue, T: KeyTable, S: Secret, C: Clock>(
    request: HttpRequest,
    deadline: Micros,
    deps: &mut Deps<P, Q, T, S, C>,
) -> Result<(Answer, Tally), Problem> {
    let now = deps.ingest.clock.now();
    let deadline = deadline.min(now.plus_ms(ANSWER_MS));
    let Some((_, name)) = request.path().rsplit_once("/v1/webhooks/") else { return Err(Problem::NoSource) };
    let name = name.to_owned();
    if request.method() != "POST" {
        return Err(Problem::Method("POST"));
    }
    let request = Request::of(Route::Webhook, request)?;
    deps.renew(deadline).await;
    let scheme = match verified(deps.sources.key(), &name, &request, now) {
        // It may be signed with a newer secret than those that are known.
        Err(Problem::NoSource | Problem::BadSource | Problem::Unsigned(_)) if deps.sources.hurry(now) => {
            deps.renew(deadline).await;
            verified(deps.sources.key(), &name, &request, now)?
        }
        told => told?,
    };
    let (mut room, mut event) = (Vec::new(), Event::default());
    let body = body(scheme, &request, deps.ingest.body_max, &mut room)?;
    decode::event(&body, &mut event).map_err(|why| Problem::Body(why.detail.into_owned()))?;
    let news = match scheme.read_event(|name| request.header(name), &body, &event)? {
        Brings::Challenge(text) => return Ok((Answer::challenge(&text), Tally::default())),
        Brings::News(news) => news,
    };
    let key = format!("webhooks/{name}/{}", fingerprint(news.id.as_bytes(), 16));
    if deps.knows(&key, now, deadline).await {
        return Ok((Answer::known(), Tally { known: 1, ..Tally::default() }));
    }
    let mut event = lay_out(&name, &news, &body, &deps.ingest.event, now)?;
    let stamp = Stamp { received_at: now, ip: "", user_agent: None, tenant: None }; // the vendor's own say nothing of the event
    let accepted = events::verified(&mut event, &deps.ingest.event, &stamp)?;
    let spilled = crate::put(&[accepted], deadline, &deps.ingest).await?;
    deps.note(key, now, deadline).await;
    Ok((Answer::accepted(1, &[]), Tally { accepted: 1, spilled, ..Tally::default() }))
}

/// How the source of this name signs, if the request is signed by it.
fn verified(sources: &Sources, name: &str, request: &Request, now: Micros) -> Result<Scheme, Problem> {
    match sources.get(name) {
        None => Err(Problem::NoSource),
        Some(Err(why)) => {
            tracing::error!(source = name, %why, "this source of the secret will not do");
            Err(Problem::BadSource)
        }
        Some(Ok(source)) => {
            source.verify(|name| request.header(name), request.raw(), now)?;
            Ok(source.scheme())
        }
    }
}

/// The JSON of a request that is verified.
fn body<'a>(
    scheme: Scheme,
    request: &'a Request,
    most: usize,
    room: &'a mut Vec<u8>,
) -> Result<Cow<'a, [u8]>, Problem> {
    let kind = request.content_type();
    let is_form = kind.as_deref() == Some("application/x-www-form-urlencoded");
    if !(kind.as_deref().is_none_or(is_json) || is_form && scheme == Scheme::Github) {
        return Err(Problem::WebhookContentType);
    }
    let body = request.body(most, room).map_err(|problem| match problem {
        Problem::TooLarge(_) => Problem::WebhookTooLarge,
        other => other,
    })?;
    let body = if is_form {
        let mut fields = form_urlencoded::parse(body);
        let payload = fields.find(|(name, _)| name == "payload").ok_or(Problem::WebhookContentType)?;
        Cow::Owned(payload.1.into_owned().into_bytes())
    } else {
        Cow::Borrowed(body)
    };
    if body.len() > most { Err(Problem::WebhookTooLarge) } else { Ok(body) }
}

/// The pipeline's event.
fn lay_out(
    source: &str,
    news: &News,
    body: &[u8],
    settings: &EventSettings,
    now: Micros,
) -> Result<Event, Problem> {
    let unreadable = |flaw: Flaw| Problem::Body(flaw.to_string());
    let mut event = Event::read("{}").map_err(unreadable)?;
    let webhook = Path::from_key(events::WEBHOOK);
    event.put(&webhook.join("source"), New::Str(source));
    if let Some(shop) = &news.shop {
        event.put(&webhook.join("shop"), New::Str(shop));
    }
    // It was read as UTF-8 and as JSON before.
    event.put(&Path::from_key("data"), New::Json(str::from_utf8(body).unwrap_or_default()));
    let kind = news.kind.as_ref().map_or_else(|| source.to_owned(), |kind| format!("{source}.{kind}"));
    event.put(&settings.id, New::Str(&news.id));
    event.put(&settings.r#type, New::Str(&kind));
    event.put(&settings.time, New::Str(&news.at.unwrap_or(now).rfc3339()));
    event.outgrown().map_or(Ok(event), |flaw| Err(unreadable(flaw)))
}

impl<P, Q, T: KeyTable, S: Secret, C: Clock> Deps<P, Q, T, S, C> {
    /// Asks for the secret, if it is time. Without it those sources go on that are known.
    async fn renew(&mut self, deadline: Micros) {
        let asked = self.sources.renew(&self.ingest.clock, deadline, Sources::parse).await;
        if let Err(why) = asked {
            tracing::error!(%why, "the sources cannot be renewed; those that are known go on");
        }
    }

    /// Whether an event of this key is safe already. Where nobody can tell it goes on: many vendors send nothing twice, and
    /// `transform` knows it by its id.
    async fn knows(&self, key: &str, now: Micros, deadline: Micros) -> bool {
        let all = Between { after: "", before: None, backward: false };
        let deadline = deadline.min(self.ingest.clock.now().plus_ms(LOOK_MS));
        let found = self.ids.call(&self.ingest.clock, deadline, async |ids| ids.page(key, all).await).await;
        found.inspect_err(no_note).is_ok_and(|page| page.items.iter().any(|item| item.expires_at > now))
    }

    /// Notes that it is. Where that fails, `transform` knows it by its id.
    async fn note(&self, key: String, now: Micros, deadline: Micros) {
        let item = Item {
            key,
            position: "safe".to_owned(),
            version: 1,
            expires_at: now.plus_ms(KNOWN_MS),
            body: now.rfc3339().into_bytes(),
        };
        let put = async |ids: &T| ids.put(&item, When::Always).await;
        let noted = self.ids.call(&self.ingest.clock, deadline, put).await;
        let _ = noted.inspect_err(no_note);
    }
}

fn no_note(why: &Error) {
    tracing::warn!(why = why.chain(), "ids of webhooks cannot be read or noted; the window knows them");
}
