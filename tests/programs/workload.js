// Work for node.sh: objects on V8's heap, buffers outside of it, and threads that free each other's.
const crypto = require('crypto');
const zlib = require('zlib');
const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');

const digest = data => crypto.createHash('sha256').update(data).digest('hex').slice(0, 16);

function maps() {
  const map = new Map();
  for (let i = 0; i < 200000; i++) map.set('key' + i, {i, s: 'v'.repeat(i % 20)});
  for (let i = 0; i < 200000; i += 3) map.delete('key' + i);
  let sum = 0;
  for (const value of map.values()) sum += value.i + value.s.length;
  return [map.size, sum];
}

function json() {
  const rows = Array.from({length: 40000}, (_, i) => ({id: i, name: 'row ' + i, list: [i, i / 3, `${i}`]}));
  return digest(JSON.stringify(JSON.parse(JSON.stringify(rows)), null, 1));
}

function buffers() {
  const parts = [];
  for (let i = 1; i < 6000; i++) parts.push(Buffer.alloc(i * 7 % 20000, i & 255));
  const all = Buffer.concat(parts.filter((_, i) => i % 3));
  return [all.length, digest(all)];
}

function compressed() {
  const one = level => new Promise((resolve, reject) => {
    const data = Buffer.from('the quick brown fox '.repeat(20000 + level));
    zlib.deflate(data, {level}, (error, packed) => {
      if (error) return reject(error);
      zlib.inflate(packed, (failure, plain) => failure ? reject(failure) : resolve(digest(plain)));
    });
  });
  return Promise.all([1, 2, 3, 4, 5, 6, 7, 8, 9].map(one));
}

function workers() {
  const one = id => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, {workerData: id});
    let result;
    worker.on('message', bytes => { result = digest(Buffer.from(bytes)); });
    worker.on('error', reject);
    worker.on('exit', code => code ? reject(new Error('exit ' + code)) : resolve(result));
  });
  return Promise.all([1, 2, 3, 4].map(one));
}

async function main() {
  for (const step of [maps, json, buffers, compressed, workers]) {
    console.log(step.name, JSON.stringify(await step()));
  }
}

if (isMainThread) {
  main();
} else {
  const bytes = new Uint8Array(1 << 20);
  for (let i = 0; i < bytes.length; i++) bytes[i] = i * workerData;
  maps();
  parentPort.postMessage(bytes.buffer, [bytes.buffer]);
}
