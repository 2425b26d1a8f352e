// The clients of the recordings that come from npm: redis (RESP3), mysql2, kafkajs. NODE_PATH names where they are installed.
//
//   node_clients.js SCENARIO ADDRESS PORT
//
// What they count, where they count, goes to standard output as JSON; the servers' own counters are the other half.
'use strict';

const [scenario, address, portText] = process.argv.slice(2);
const port = Number(portText);

async function redis() {
  const { createClient } = require('redis');
  const client = createClient({ RESP: 3, socket: { host: address, port } });
  client.on('error', () => {});
  await client.connect();
  await client.set('session:1', 'opened', { EX: 60 });
  await client.get('session:1');
  await client.hSet('user:1', { name: 'Ada', visits: '3' });
  await client.hGetAll('user:1');
  await client.zAdd('board', [{ score: 1.5, value: 'ada' }, { score: 2, value: 'bob' }]);
  await client.zRangeWithScores('board', 0, -1);
  await client.sAdd('tags', ['a', 'b', 'c']);
  await client.sMembers('tags');
  await client.get('none');
  await Promise.all(Array.from({ length: 100 }, (_, i) => client.incrBy(`count:${i % 7}`, i)));
  await client.multi().set('tx', '1').incr('tx').get('tx').exec();
  await client.lPush('session:1', 'wrong').catch(() => {});
  await client.xAdd('stream', '*', { field: 'value' });
  await client.xRange('stream', '-', '+');
  const subscriber = client.duplicate();
  subscriber.on('error', () => {});
  await subscriber.connect();
  let got = 0;
  await subscriber.subscribe('news', () => { got++; });
  await subscriber.pSubscribe('w*', () => { got++; });
  await client.publish('news', 'first');
  await client.publish('weather', 'rain');
  await subscriber.ping();
  while (got < 2) await new Promise((r) => setTimeout(r, 20));
  await subscriber.unsubscribe('news');
  await subscriber.pUnsubscribe('w*');
  await subscriber.close();
  await client.close();
  return { unasked: got };
}

// mysql2: what the server's log does not tell (how often it asked in clear and prepared, pings), errors, rows that were changed.
async function mysql(run, extra = {}) {
  const mysql2 = require('mysql2/promise');
  const c = await mysql2.createConnection({ host: address, port, user: 'app', password: 'apple', database: 'shop', ...extra });
  const errors = [];
  const rows = { affected: 0 };
  const also = {};
  let queries = 0;
  const prepared = new Set(); // each statement is prepared once
  const ask = async (how, ...args) => {
    queries += how === 'query';
    if (how === 'execute') prepared.add(args[0]);
    try {
      const [result] = await c[how](...args);
      for (const r of Array.isArray(result) ? result : [result]) if (r && r.affectedRows) rows.affected += r.affectedRows;
      return result;
    } catch (e) {
      errors.push([e.errno, e.sqlState]);
      return null;
    }
  };
  await run(ask, c, errors, also);
  await c.end().catch(() => {}); // it may be closed already
  return { commands: { COM_QUERY: queries, COM_STMT_PREPARE: prepared.size, ...also }, errors, affected_rows: rows.affected };
}

const prepared = () => mysql(async (ask, c, errors, also) => {
  await ask('query', 'CREATE TABLE things (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), price DOUBLE, stock BIGINT, made DATETIME(3), data BLOB)');
  for (let i = 1; i <= 8; i++) {
    await ask('execute', 'INSERT INTO things (name, price, stock, made, data) VALUES (?, ?, ?, ?, ?)',
      [`thing ${i}`, i * 1.25, i * 1000, i % 2 ? new Date(Date.UTC(2024, 1, 29, 12, 0, i, 250)) : null, Buffer.from([0, i, 255])]);
  }
  await ask('execute', 'SELECT * FROM things WHERE id > ? AND price < ? ORDER BY id', [2, 8.5]);
  await ask('execute', 'SELECT * FROM things WHERE id > ? AND price < ? ORDER BY id', [6, 100]);
  await ask('execute', 'SELECT ? AS nothing, ? AS truth, ? AS text', [null, true, "it's a text with \"quotes\""]);
  await ask('execute', 'UPDATE things SET stock = stock - ? WHERE id <= ?', [1, 4]);
  await ask('execute', 'SELEC * FROM things WHERE id = ?', [1]);
  await ask('execute', 'SELECT * FROM nothings WHERE id = ?', [1]);
  await ask('execute', 'INSERT INTO things (id, name) VALUES (?, ?)', [1, 'again']);
  await ask('execute', 'DELETE FROM things WHERE name LIKE ?', ['thing 8%']);
  also.COM_STMT_PREPARE = 9; // this is the ninth; two of them fail
  const statement = await c.prepare('SELECT COUNT(*) FROM things WHERE stock >= ?');
  for (const n of [0, 3000, 9000]) await statement.execute([n]);
  await statement.close();
  await ask('query', 'SELECT COUNT(*) FROM things');
});

const multi = () => mysql(async (ask) => {
  await ask('query', 'CREATE TABLE m (a INT PRIMARY KEY, b INT)');
  await ask('query', 'INSERT INTO m VALUES (1,1),(2,2); SELECT * FROM m; UPDATE m SET b = b + 1; SELECT SUM(b) FROM m');
  await ask('query', 'SELECT 1; SELECT * FROM missing; SELECT 2');
  await ask('query', 'CREATE PROCEDURE both_of() BEGIN SELECT 1 AS one; SELECT a, b FROM m; END');
  await ask('query', 'CALL both_of()');
  await ask('execute', 'CALL both_of()');
  await ask('query', 'DELETE FROM m; DROP PROCEDURE both_of; DROP TABLE m');
}, { multipleStatements: true });

const commands = () => mysql(async (ask, c, errors, also) => {
  also.COM_PING = 1;
  await c.ping();
  await ask('query', 'SELECT 1');
  await c.changeUser({ user: 'other', password: 'orange', database: 'shop' });
  await ask('query', 'SELECT CURRENT_USER()');
  await c.changeUser({ user: 'app', password: 'wrong' }).catch((e) => errors.push([e.errno, e.sqlState]));
});

const compressed = () => mysql(async (ask) => {
  await ask('query', `SELECT '${'long enough to be compressed '.repeat(20)}' AS text`);
  await ask('query', "SELECT REPEAT('abc', 5000) AS big");
  await ask('query', 'SELECT nothing');
  await ask('execute', 'SELECT ? AS parameter', ['p'.repeat(300)]);
  await ask('query', 'SELECT 1');
}, { compress: true });

// kafkajs tells each request and response: [connection, API, version, correlation id, request bytes, response bytes]
async function kafka() {
  const { Kafka, logLevel } = require('kafkajs');
  const calls = new Map();
  const logCreator = () => ({ log }) => {
    const m = /^(Request|Response) (\w+)\(key: (\d+), version: (\d+)\)/.exec(log.message);
    if (!m) return;
    // each connection counts from 0 by itself: what is counted is told apart by its client and broker
    const key = `${log.clientId} ${log.broker} ${log.correlationId} ${m[2]}`;
    const list = calls.get(key) || calls.set(key, []).get(key);
    if (m[1] === 'Request') list.push([log.clientId, m[2], Number(m[4]), log.correlationId, log.size, null]);
    else for (const c of list) if (c[5] === null) { c[5] = log.size; break; }
  };
  const kafka = new Kafka({ clientId: 'shop', brokers: [`${address}:${port}`], logLevel: logLevel.DEBUG, logCreator, retry: { retries: 3 } });
  const producer = kafka.producer({ allowAutoTopicCreation: true });
  await producer.connect();
  const trace = { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' };
  await producer.send({ topic: 'orders', messages: [{ key: 'k1', value: 'plain', headers: trace }, { key: 'k2', value: 'second' }] });
  await producer.send({ topic: 'orders', compression: 1, messages: [{ key: 'k3', value: 'gzip '.repeat(50), headers: trace }] });
  await producer.sendBatch({ topicMessages: [{ topic: 'orders', messages: [{ value: 'b1' }] }, { topic: 'payments', messages: [{ value: 'b2' }] }] });
  await producer.send({ topic: 'orders', acks: 1, messages: [{ value: 'leader only' }] });
  const consumer = kafka.consumer({ groupId: 'billing', sessionTimeout: 10000, rebalanceTimeout: 10000, heartbeatInterval: 500, maxWaitTimeInMs: 300 });
  await consumer.connect();
  await consumer.subscribe({ topics: ['orders'], fromBeginning: true });
  let got = 0;
  await consumer.run({ eachMessage: async () => { got++; } });
  for (let i = 0; i < 400 && got < 5; i++) await new Promise((r) => setTimeout(r, 25));
  await consumer.disconnect();
  await producer.disconnect();
  return { messages: got, calls: [...calls.values()].flat() };
}

const scenarios = { redis, prepared, multi, commands, compressed, kafka };
scenarios[scenario]().then((out) => {
  process.stdout.write(JSON.stringify(out));
  process.exit(0);
}, (e) => {
  process.stderr.write(`${scenario}: ${e.stack}\n`);
  process.exit(1);
});
