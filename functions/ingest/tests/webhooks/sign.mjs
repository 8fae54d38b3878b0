// Writes signed_by_node.json: requests as GitHub and Shopify send them, signed by their own libraries, and found right by
// them. The tests read the file and need no network.
//
//     npm install --no-save @octokit/webhooks-methods@6.0.0 @shopify/shopify-api@13.1.0
//     node functions/ingest/tests/webhooks/sign.mjs && rm -r node_modules

import { readFileSync, writeFileSync } from "node:fs";
import { sign, verify } from "@octokit/webhooks-methods";
import "@shopify/shopify-api/adapters/node";
import { ApiVersion, shopifyApi } from "@shopify/shopify-api";
import { createSHA256HMAC } from "@shopify/shopify-api/runtime";

const here = new URL(".", import.meta.url);
const AT = 1767225600; // 2026-01-01
const secrets = JSON.parse(readFileSync(new URL("secrets.json", here), "utf8"));

const request = (name, source, headers, body) => ({ name, source, at: AT, headers, body });

const github = async (name, type, event, delivery, payload) => {
  const body = type === "application/json" ? JSON.stringify(payload) : `payload=${encodeURIComponent(JSON.stringify(payload))}`;
  const secret = secrets.github.secrets[0];
  const signature = await sign(secret, body);
  if (!(await verify(secret, body, signature))) throw new Error(name);
  const headers = { "content-type": type, "x-github-event": event, "x-github-delivery": delivery, "x-hub-signature-256": signature };
  return request(name, "github", headers, body);
};

const shopify = async (name) => {
  const apiSecretKey = secrets.shop.secrets[0];
  const body = JSON.stringify({ id: 820982911946154508, email: "ann@example.com", total_price: "64.50", note: "Größe M ☕" });
  const headers = {
    "content-type": "application/json",
    "x-shopify-topic": "orders/create",
    "x-shopify-shop-domain": "example.myshopify.com",
    "x-shopify-api-version": "2026-01",
    "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    "x-shopify-triggered-at": "2025-12-31T23:59:59.123456789Z",
    "x-shopify-hmac-sha256": await createSHA256HMAC(apiSecretKey, body),
  };
  const library = shopifyApi({
    apiKey: "key", apiSecretKey, apiVersion: ApiVersion.January26, hostName: "example.com", isEmbeddedApp: false,
    logger: { level: 0 },
  });
  const told = await library.webhooks.validate({ rawBody: body, rawRequest: { method: "POST", url: "/", headers } });
  if (!told.valid) throw new Error(`${name}: ${JSON.stringify(told)}`);
  return request(name, "shop", headers, body);
};

const opened = { action: "opened", number: 7, pull_request: { title: "Größe", user: { login: "ann" } }, repository: { full_name: "a/b" } };
const requests = [
  await github("github", "application/json", "pull_request", "72d3162e-cc78-11e3-81ab-4c9367dc0958", opened),
  await github("github, as a form", "application/x-www-form-urlencoded", "pull_request", "72d3162e-cc78-11e3-81ab-4c9367dc0959", opened),
  await github("github, without an action", "application/json", "push", "72d3162e-cc78-11e3-81ab-4c9367dc0960", { ref: "refs/heads/main" }),
  await shopify("shopify"),
];
writeFileSync(new URL("signed_by_node.json", here), `${JSON.stringify(requests, null, 1)}\n`);
