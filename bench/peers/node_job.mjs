// Job T as a Node Lambda behind a Kinesis stream, NDJSON gzip out: node_job.mjs lambda-ndjson <batches> <outdir>

import { createHmac } from 'node:crypto';
import { mkdirSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const KEY = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const TIME = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;
const BOT = /bot|crawl|spider|slurp|curl\/|wget\/|python-requests|headlesschrome|facebookexternalhit/i;
const FAMILIES = [
  ['Edge', /Edg\/|EdgA\/|EdgiOS\/|Edge\//],
  ['Opera', /OPR\/|Opera/],
  ['Samsung Internet', /SamsungBrowser\//],
  ['Firefox', /Firefox\/|FxiOS\//],
  ['Chrome', /CriOS\/|Chrome\//],
  ['Safari', /Safari\//],
  ['IE', /MSIE |Trident\//],
];
const SYSTEMS = [
  ['Windows', /Windows/],
  ['iOS', /iPhone|iPad|iPod/],
  ['Android', /Android/],
  ['ChromeOS', /CrOS/],
  ['macOS', /Mac OS X|Macintosh/],
  ['Linux', /Linux|X11/],
];
const IP = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.)\d{1,3}$/;
const URL = /^https?:\/\/([^/?#]*)([^?#]*)(\?[^#]*)?/;
const CARD = /[0-9](?:[ -]?[0-9]){12,18}/g;
const AGENTS_MAX = 16_384;

const counts = { in: 0, malformed: 0, rejected: 0, bots: 0, duplicates: 0, rows: 0 };
const seen = new Set();
const agents = new Map();
const out = process.argv[4];

export function handler(event) {
  let lines = '';
  for (const record of event.Records) {
    const row = transform(Buffer.from(record.kinesis.data, 'base64').toString());
    if (row !== undefined) lines += JSON.stringify(row) + '\n';
  }
  if (lines) {
    const name = `${event.Records[0].kinesis.sequenceNumber}.ndjson.gz`;
    writeFileSync(join(out, name), gzipSync(lines, { level: 6 }));
  }
  return { batchItemFailures: [] };
}

function transform(line) {
  counts.in += 1;
  let event;
  try {
    event = JSON.parse(line);
  } catch {}
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    counts.malformed += 1;
    return;
  }
  const ts = micros(event.timestamp);
  if (ts === undefined || !string(event.id) || !string(event.eventType)) {
    counts.rejected += 1;
    return;
  }
  const { bot, family, system } = agent(event.userAgent);
  if (bot) {
    counts.bots += 1;
    return;
  }
  if (seen.has(event.id)) {
    counts.duplicates += 1;
    return;
  }
  seen.add(event.id);
  counts.rows += 1;
  const email = string(event.email);
  // JSON.stringify leaves out what is undefined; `data` that is no object has none of the fields, but a string has no own `text`.
  const data = typeof event.data === 'object' && event.data !== null ? event.data : {};
  const price = typeof data.price === 'number' ? data.price : undefined;
  return {
    event_id: event.id,
    event_type: event.eventType,
    ts,
    session_id: string(event.sessionId),
    browser: string(event.browser),
    target: string(event.target),
    user_hash: token(string(event.userId)),
    email_hash: token(email === undefined ? undefined : lower(email)),
    ip: network(event.ip),
    ua_family: family,
    ua_os: system,
    ...url(event.path),
    price,
    discount: price > 50 ? price * 0.1 : undefined,
    x: Number.isInteger(data.x) ? data.x : undefined,
    y: Number.isInteger(data.y) ? data.y : undefined,
    text: string(data.text)?.replace(CARD, redact),
  };
}

const string = (value) => (typeof value === 'string' ? value : undefined);

// Microseconds fit a double until the year 2255.
function micros(text) {
  const match = typeof text === 'string' ? TIME.exec(text) : null;
  if (!match) return;
  const [, year, month, day, hour, minute, second, fraction, sign, hours, minutes] = match;
  if (hour > 23 || minute > 59 || second > 59 || hours > 23 || minutes > 59) return;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(ms);
  if (date.getUTCFullYear() !== +year || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== +day) return;
  const offset = sign ? (hours * 60 + +minutes) * (sign === '-' ? -60_000 : 60_000) : 0;
  return (ms - offset) * 1000 + (fraction ? +fraction.slice(0, 6).padEnd(6, '0') : 0);
}

const NO_AGENT = { bot: false, family: 'Other', system: 'Other' };

function agent(text) {
  if (typeof text !== 'string') return NO_AGENT;
  let known = agents.get(text);
  if (known === undefined) {
    known = { bot: BOT.test(text), family: first(text, FAMILIES), system: first(text, SYSTEMS) };
    if (agents.size === AGENTS_MAX) agents.clear();
    agents.set(text, known);
  }
  return known;
}

const first = (text, names) => names.find(([, pattern]) => pattern.test(text))?.[0] ?? 'Other';

const lower = (text) => text.replace(/[A-Z]+/g, (part) => part.toLowerCase());

const token = (text) => (text === undefined ? undefined : createHmac('sha256', KEY).update(text).digest('hex'));

function network(ip) {
  const match = typeof ip === 'string' ? IP.exec(ip) : null;
  return match ? `${match[1]}0` : undefined;
}

function url(text) {
  const match = typeof text === 'string' ? URL.exec(text) : null;
  if (!match) return;
  const utm = {};
  if (match[3]?.includes('utm_')) {
    for (const part of match[3].slice(1).split('&')) {
      const at = part.indexOf('=');
      const name = at < 0 ? part : part.slice(0, at);
      utm[name] ??= at < 0 ? '' : part.slice(at + 1);
    }
  }
  return {
    host: lower(match[1].replace(/:[0-9]*$/, '')),
    page: match[2] || '/',
    utm_source: unescape(utm.utm_source),
    utm_medium: unescape(utm.utm_medium),
    utm_campaign: unescape(utm.utm_campaign),
  };
}

// decodeURIComponent would throw where a % stands for itself.
function unescape(value) {
  if (!value) return;
  const text = value.replaceAll('+', ' ');
  return text.includes('%') ? text.replace(/(?:%[0-9a-f]{2})+/gi, (part) => Buffer.from(part.replaceAll('%', ''), 'hex').toString()) : text;
}

function redact(match) {
  let sum = 0;
  let twice = false;
  for (let i = match.length - 1; i >= 0; i--) {
    const digit = match.charCodeAt(i) - 48;
    if (digit < 0) continue;
    sum += twice ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit;
    twice = !twice;
  }
  return sum % 10 ? match : '[card]';
}

// The lines of a file, each a payload that fits the buffer. `readline` would cost a seventh of the whole run.
function* payloads(path) {
  const file = openSync(path);
  const buffer = Buffer.allocUnsafe(16 << 20);
  let filled = 0;
  for (let read = 1; read > 0; ) {
    read = readSync(file, buffer, filled, buffer.length - filled);
    filled += read;
    let start = 0;
    for (let end; (end = buffer.subarray(0, filled).indexOf(10, start)) >= 0; start = end + 1) {
      yield buffer.toString('utf8', start, end);
    }
    buffer.copyWithin(0, start, filled);
    filled -= start;
  }
}

mkdirSync(out, { recursive: true });
for (const payload of payloads(process.argv[3])) handler(JSON.parse(payload));
console.log(JSON.stringify(counts));
