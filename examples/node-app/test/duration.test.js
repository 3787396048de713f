'use strict';

const assert = require('node:assert');
const { test } = require('node:test');
const semver = require('semver');
const { describe } = require('../src/duration');
const { engines } = require('../package.json');

test('durations are told in milliseconds', () => {
  assert.strictEqual(describe('2 days'), '<p>2 days: 172800000 ms</p>');
});

test('text of users is escaped', () => {
  assert.strictEqual(describe('<b>'), '<p>&lt;b&gt;: no duration</p>');
});

test('this version of Node.js is one that we say we support', () => {
  assert.ok(semver.satisfies(process.version, engines.node));
});
