'use strict'

/*
 * Reports what a pg.Pool of node-postgres says of itself to pool_monitor.
 *
 *     const { reporting } = require('./pool_monitor_pg.cjs')    // or import { reporting } from
 *
 *     const pool = reporting(new pg.Pool({ max: 6 }), 'ems')
 *
 * before it is used for the first time. The name is the application_name of the connections, by
 * which the server finds the pool. Every interval a report goes out, on a client that is idle in
 * the pool at that moment while nobody waits for one; if none is, as soon as one is. No connection
 * is opened for it. Whatever goes wrong is told to options.log, if there is one, and otherwise
 * ignored, and the next try waits twice as long, up to an hour. The extension must be in the
 * database that the application logs in to.
 *
 * The pool also gets a listener to 'error', without which the end of an idle session (retired,
 * terminated, the server restarted) is the end of the process.
 *
 * For pg 8 on Node.js 14 and later, not for pg-native. Run with pg 8.8.0 and 8.23.1 on
 * Node.js 20.
 */

const os = require('os')
const { randomBytes } = require('crypto')

const REPORT =
  'SELECT pool_monitor.client_report($1::text, $2::int, $3::int, $4::int, $5::int, $6::int, $7::bigint,' +
  ' $8::bigint, $9::float8, $10::bigint, $11::bigint, $12::bigint, $13::float8, $14::bigint,' +
  ' $15::float8)'
const LONGEST_PAUSE = 3600000 // ms, between tries that fail
const LONGEST_LOOK = 200 // ms, for an idle client when a report is due
const LONGEST_REPORT = 5000 // ms
const GAVE_UP = 'timeout exceeded when trying to connect' // pg-pool's, who waited in its queue

function seconds(since) {
  return Number(process.hrtime.bigint() - since) / 1e9
}

/* Has the server refused it, and goes on? Then the session is as it was. */
function refused(error) {
  return Boolean(error.severity) && !/^(08|57P)/.test(error.code)
}

/* What one pool has done, and when it is to be told next. */
class Books {
  constructor(interval) {
    this.interval = interval
    // the end of a host's name tells it from others; worker threads share a process
    this.process = `${os.hostname().slice(-36)}:${process.pid}:${randomBytes(4).toString('hex')}`
    Object.assign(this, { checkouts: 0, waits: 0, waited: 0, timeouts: 0, creations: 0, invalidations: 0 })
    Object.assign(this, { longest: 0, held: 0, heldUntil: process.hrtime.bigint(), out: 0, reports: 0, failures: 0 })
  }

  /* Counts for how long those that are out have been; from now on there are more, or less. */
  hold(more) {
    const now = process.hrtime.bigint()
    this.held += (this.out * Number(now - this.heldUntil)) / 1e9
    this.heldUntil = now
    this.out += more
  }

  /* Until it is given back; the pool gives each client a new release() each time. */
  got(client) {
    const { release } = client
    this.hold(1)
    let out = 1
    client.release = (error) => {
      this.hold(-out)
      out = 0
      return release(error)
    }
  }

  endCheckout(begun, hadToWait, error) {
    const waited = hadToWait ? seconds(begun) : 0
    this.longest = Math.max(this.longest, waited)
    if (error) {
      this.timeouts += error.message === GAVE_UP
      return
    }
    this.checkouts += 1
    this.waits += hadToWait
    this.waited += waited
  }

  beginReport() {
    this.hold(0)
    const told = { ...this, number: this.reports }
    this.reports += 1
    this.longest = 0
    return told
  }

  /* Returns how long to wait for the next, in ms. */
  endReport(told, error) {
    this.failures = error ? this.failures + 1 : 0
    if (error) this.longest = Math.max(this.longest, told.longest)
    if (error && refused(error)) this.reports -= 1 // it has not been heard
    return Math.max(Math.min(this.interval * 2 ** this.failures, LONGEST_PAUSE), this.interval)
  }
}

/* Keeps what the server last said of the client's transaction. Before the driver knows, who gives it to others. */
function watchTransactions(client, states) {
  if (!client.connection) return // pg-native
  states.set(client, 'I')
  client.connection.prependListener('readyForQuery', (message) => states.set(client, message.status))
}

class Reporter {
  constructor(pool, interval, log) {
    this.pool = pool
    this.books = new Books(interval)
    this.log = log
    this.states = new WeakMap()
    this.connect = pool.connect
    this.due = false
    pool.connect = (callback) => this.checkout(callback)
    pool.on('connect', (client) => {
      this.books.creations += 1
      watchTransactions(client, this.states)
    })
    pool.on('error', () => {
      this.books.invalidations += 1
    })
    pool.on('release', (error) => {
      this.books.invalidations += Boolean(error)
      if (this.due) process.nextTick(() => this.reportIfIdle())
    })
    this.sleep(interval)
  }

  /* The pool's connect(), timed. Who finds it full has to wait. */
  checkout(callback) {
    const { pool, books } = this
    const begun = process.hrtime.bigint()
    const hadToWait = pool.totalCount >= pool.options.max && pool.idleCount <= pool.waitingCount
    if (typeof callback === 'function') {
      return this.connect.call(pool, (error, client, release) => {
        books.endCheckout(begun, hadToWait, error)
        if (!error) books.got(client)
        callback(error, client, error ? release : client.release)
      })
    }
    return this.connect.call(pool).then(
      (client) => {
        books.endCheckout(begun, hadToWait)
        books.got(client)
        return client
      },
      (error) => {
        books.endCheckout(begun, hadToWait, error)
        throw error
      }
    )
  }

  sleep(pause) {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      this.due = true
      this.reportIfIdle()
      if (this.due && !this.pool.ending) this.sleep(Math.min(LONGEST_LOOK, this.books.interval))
    }, pause)
    this.timer.unref()
  }

  /* Nobody waits, so the next tick gives us one of those that are idle. */
  reportIfIdle() {
    const { pool } = this
    if (!this.due || pool.ending || pool.waitingCount > 0 || pool.idleCount === 0) return
    this.due = false
    clearTimeout(this.timer)
    this.connect.call(pool, (error, client, release) => {
      if (error) this.end(this.books.beginReport(), error)
      else if (this.states.get(client) === 'I') this.report(this.books.beginReport(), client, release)
      else {
        // the application left it in a transaction
        release()
        this.sleep(LONGEST_LOOK)
      }
    })
  }

  /* On this client, which counts as checked out meanwhile. */
  report(told, client, release) {
    // none of the pool's own listens while it is checked out
    const ignore = () => {}
    client.on('error', ignore)
    client.query({ text: REPORT, values: this.values(told), query_timeout: LONGEST_REPORT }, (error) => {
      client.removeListener('error', ignore)
      release(error && !refused(error) ? error : undefined)
      this.end(told, error)
    })
  }

  values(told) {
    const { pool } = this
    const out = pool.totalCount - pool.idleCount - 1
    return [
      told.process, pool.options.max, 0, pool.totalCount, Math.max(out, 0), pool.waitingCount, told.checkouts,
      told.waits, told.waited, told.timeouts, told.creations, told.invalidations, told.longest, told.number,
      told.held,
    ] // prettier-ignore
  }

  end(told, error) {
    if (error && this.log) this.log(`pool_monitor: no report: ${error.message}`)
    this.sleep(this.books.endReport(told, error))
  }
}

/* options: interval (ms), log (a function that gets a line of text) */
function reporting(pool, name, options = {}) {
  pool.options.application_name = name
  new Reporter(pool, options.interval || 15000, options.log)
  return pool
}

module.exports = { reporting }
