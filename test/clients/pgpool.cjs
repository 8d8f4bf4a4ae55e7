/*
 * A real pg.Pool that reports: some checkouts, of which one waits and one gives up. Says
 * "gave up", or "unavailable WHY" without pg. Answers each line of stdin with one, until
 * stdin ends:
 *
 *   return    gives all clients back: "idle"
 *   hurry     checkouts by several at once: how many clients are out afterwards
 *   keep      one client is out, got by a callback, until they are given back: "kept"
 *   ways      one is out for half a second by a promise, and by a query each: "idle"
 *   wait      one more that has to wait: "idle"
 *   begin     gives all back in a transaction, and lets some reports be due: "begun"
 *   rollback  ends these: "idle"
 *   open      how many clients it has
 *   version   of pg
 *
 * usage: pgpool.cjs SOCKETDIR PORT NAME INTERVAL
 */
'use strict'

const path = require('path')
const readline = require('readline')

let pg
try {
  pg = require('pg')
} catch (error) {
  console.log(`unavailable ${error.message.split('\n')[0]}`)
  process.exit()
}

const HELD = 500 // ms, for which the one that waits has to
const [host, port, name, interval] = process.argv.slice(2)
const options = { host, port: Number(port), user: 'app', database: 'postgres' }
const limits = { max: 3, connectionTimeoutMillis: 1000, idleTimeoutMillis: 0 }

async function work(pool) {
  for (let i = 0; i < 200; i++) await (i % 2 ? pool.query('SELECT 1') : useOne(pool))
}

async function useOne(pool) {
  const client = await pool.connect()
  await client.query('SELECT 1')
  client.release()
}

async function onAll(pool, statement) {
  const all = await Promise.all([1, 2, 3].map(() => pool.connect()))
  await Promise.all(all.map((client) => client.query(statement)))
  all.forEach((client) => client.release())
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/* How many stay out: a report that is under way comes back. */
async function out(pool) {
  for (let i = 0; i < 50 && pool.totalCount > pool.idleCount; i++) await sleep(20)
  return pool.totalCount - pool.idleCount
}

const commands = {
  held: [],
  return() {
    this.held.splice(0).forEach((client) => client.release())
    return 'idle'
  },
  async hurry(pool) {
    await Promise.all([1, 2, 3, 4].map(() => work(pool)))
    return out(pool)
  },
  keep(pool) {
    return new Promise((resolve) => {
      pool.connect((error, client, release) => {
        this.held.push({ release })
        resolve('kept')
      })
    })
  },
  async ways(pool) {
    const client = await pool.connect()
    await client.query('SELECT pg_sleep(0.5)')
    client.release()
    await pool.query('SELECT pg_sleep(0.5)')
    return 'idle'
  },
  async wait(pool) {
    const held = await Promise.all([1, 2, 3].map(() => pool.connect()))
    setTimeout(() => held.shift().release(), HELD)
    held.push(await pool.connect())
    held.forEach((client) => client.release())
    return 'idle'
  },
  async begin(pool) {
    await onAll(pool, 'BEGIN')
    await sleep(5 * Number(interval))
    return 'begun'
  },
  async rollback(pool) {
    await onAll(pool, 'ROLLBACK')
    return 'idle'
  },
  open: (pool) => pool.totalCount,
  version: () => require('pg/package.json').version,
}

async function main() {
  // as an ES module sees it
  const { reporting } = await import(path.join(__dirname, '../../clients/node-postgres/pool_monitor_pg.cjs'))
  const pool = reporting(new pg.Pool({ ...options, ...limits }), name, { interval: Number(interval) })
  commands.held = await Promise.all([1, 2, 3].map(() => pool.connect()))
  setTimeout(() => commands.held.shift().release(), HELD)
  commands.held.push(await pool.connect())
  await pool.connect().then(
    () => console.log('was not full'),
    () => console.log('gave up')
  )
  for await (const line of readline.createInterface({ input: process.stdin })) console.log(await commands[line](pool))
  await pool.end()
}

main()
