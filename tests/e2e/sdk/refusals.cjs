// SPDX-License-Identifier: GPL-2.0-only
// refusals.cjs - what the official SDKs make of each refusal; sdk_js.sh runs it on the client's side.
'use strict';
const assert = require('node:assert');
const OpenAI = require('openai').default;
const Anthropic = require('@anthropic-ai/sdk').default;

const { BASE, KEY, UNKNOWN, OFF, OLD, HOME_KEY, SLOW, PACED } = process.env;
const REQUEST_ID = /^req_[0-9a-f]{16}$/;
const big = 'x'.repeat(5000000);

const ok = (text) => console.log('  ok    ' + text);

// Attempts are counted where they leave: a refusal that cannot succeed must not be sent again.
let attempts = 0;
const counted = (...args) => {
  attempts++;
  return fetch(...args);
};

const SDKS = {
  openai: {
    errors: OpenAI,
    client: (apiKey, more) => new OpenAI({ apiKey, baseURL: BASE + '/v1', fetch: counted, timeout: 5000, ...more }),
    ask: (client, content) => client.chat.completions.create({
      model: 'm', messages: [{ role: 'user', content }] }),
    text: (answer) => answer.choices[0].message.content,
    stream: (client, content) => client.chat.completions.create({
      model: 'm', max_tokens: 7, stream: true, messages: [{ role: 'user', content }] }),
    piece: (event) => event.choices?.[0].delta.content ?? '',
    code: (error) => error.code,
    types: { 400: 'invalid_request_error', 401: 'invalid_request_error', 403: 'invalid_request_error',
             429: 'requests', 431: 'invalid_request_error' },
  },
  anthropic: {
    errors: Anthropic,
    client: (apiKey, more) => new Anthropic({ apiKey, authToken: null, baseURL: BASE, fetch: counted, timeout: 5000, ...more }),
    ask: (client, content) => client.messages.create({
      model: 'm', max_tokens: 7, messages: [{ role: 'user', content }] }),
    text: (answer) => answer.content[0].text,
    stream: (client, content) => client.messages.create({
      model: 'm', max_tokens: 7, stream: true, messages: [{ role: 'user', content }] }),
    piece: (event) => (event.type === 'content_block_delta' ? event.delta.text : ''),
    code: (error) => error.error.error.details.error_code,
    types: { 400: 'invalid_request_error', 401: 'authentication_error', 403: 'permission_error',
             429: 'rate_limit_error', 431: 'request_too_large' },
  },
};

async function raised(what, promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail(what + ': was served');
}

async function refuse(sdk, name, what, { key, content = 'hi', options = {}, stream }, kind, status, code) {
  const client = sdk.client(key, { maxRetries: status === 429 ? 0 : 2, ...options });
  const full = `${name}, ${what}${stream ? ', streaming' : ''}`;
  attempts = 0;
  const error = await raised(full, (stream ? sdk.stream : sdk.ask)(client, content));
  assert(error instanceof sdk.errors[kind], `${full}: raised ${error.constructor.name}: ${error.message} ${error.cause}`);
  assert.strictEqual(error.status, status, full);
  assert.strictEqual(sdk.code(error), code, full);
  assert.strictEqual(error.type, sdk.types[status], full);
  assert.match(error.requestID, REQUEST_ID, full);
  assert.strictEqual(attempts, 1, `${full}: it was sent ${attempts} times`);
  if (status === 429)
    assert(Number(error.headers.get('retry-after')) >= 1, full);
  else
    assert.strictEqual(error.headers.get('x-should-retry'), 'false', full);
  console.log('  told  ' + error.requestID);
}

async function refusals(sdk, name) {
  for (const stream of [false, true]) {
    const cases = [
      ['unknown key', { key: UNKNOWN }, 'AuthenticationError', 401, 'invalid_api_key'],
      ['disabled key', { key: OFF }, 'AuthenticationError', 401, 'api_key_disabled'],
      ['expired key', { key: OLD }, 'AuthenticationError', 401, 'api_key_expired'],
      ['another address', { key: HOME_KEY }, 'PermissionDeniedError', 403, 'ip_not_allowed'],
      ['too fast', { key: SLOW }, 'RateLimitError', 429, 'rate_limit_exceeded'],
      ['two keys', { key: KEY, options: { defaultHeaders: { 'api-key': UNKNOWN } } },
        'BadRequestError', 400, 'malformed_request'],
      ['a head over the limit', { key: KEY, options: { defaultHeaders: { 'x-fill': 'x'.repeat(17000) } } },
        'APIError', 431, 'head_too_large'],
      ['5 MB', { key: UNKNOWN, content: big }, 'AuthenticationError', 401, 'invalid_api_key'],
    ];
    for (const [what, how, ...wanted] of cases)
      await refuse(sdk, name, what, { ...how, stream }, ...wanted);
  }
  ok(`${name}: AuthenticationError, PermissionDeniedError, RateLimitError, BadRequestError, each once`);
}

async function served(sdk, name) {
  const client = sdk.client(KEY, { maxRetries: 0 });
  assert.strictEqual(sdk.text(await sdk.ask(client, 'hi')), 'hello');
  assert.strictEqual(sdk.text(await sdk.ask(client, big)), 'hello');
  let text = '';
  for await (const event of await sdk.stream(client, 'hi'))
    text += sdk.piece(event);
  assert.strictEqual(text.match(/token-\d/g)?.length, 7, text);
  ok(`${name}: a good key, whole, 5 MB, streaming`);
}

// Bad ones in between, on the same pool of connections.
async function mixed(sdk, name) {
  const good = sdk.client(KEY, { maxRetries: 0 }), bad = sdk.client(UNKNOWN, { maxRetries: 0 });
  const asked = [];
  for (let i = 0; i < 60; i++)
    asked.push(sdk.ask(i % 3 ? good : bad, 'hi').then((answer) => sdk.text(answer), (error) => error.status));
  (await Promise.all(asked)).forEach((got, i) => assert.strictEqual(got, i % 3 ? 'hello' : 401, `request ${i}`));
  ok(`${name}: 40 good requests and 20 bad ones at a time, each its own`);
}

// One request in two seconds, one at once: the second one has to wait for what retry-after says.
async function paced(sdk, name, key) {
  const client = sdk.client(key, { maxRetries: 2 });
  attempts = 0;
  assert.strictEqual(sdk.text(await sdk.ask(client, 'hi')), 'hello');
  const began = process.hrtime.bigint();
  assert.strictEqual(sdk.text(await sdk.ask(client, 'hi')), 'hello');
  const took = Number(process.hrtime.bigint() - began) / 1e9;
  assert.strictEqual(attempts, 3, `${name}: ${attempts} attempts for two requests`);
  assert(took > 1.5 && took < 3.2, `${name}: the second one took ${took} s`);
  ok(`${name}: too fast, sent again as told, served after ${took.toFixed(2)} s`);
}

(async () => {
  const pace = [];
  for (const [name, sdk] of Object.entries(SDKS)) {
    await refusals(sdk, name);
    await served(sdk, name);
    await mixed(sdk, name);
    await paced(sdk, name, PACED.split(' ')[pace.push(name) - 1]);
  }
})().catch((error) => {
  console.log('  FAIL  ' + (error.stack ?? error));
  process.exit(1);
});
