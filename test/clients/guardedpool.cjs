/*
 * A pg.Pool whose logins the guard may refuse. Says "ready VERSION", or "unavailable WHY"
 * without pg. Answers each line of stdin with one, until stdin ends:
 *
 *   take   a client, which stays out: "took one", or the name of the error and its SQLSTATE
 *   said   the last error: its message, detail and hint, with "|" between them
 *   query  pool.query(), likewise: "42", or as take
 *   give   all come back: how many they were
 *   open   how many the pool has
 *
 * usage: guardedpool.cjs SOCKETDIR PORT NAME SIZE
 */
'use strict'

const readline = require('readline')

let pg
try {
  pg = require('pg')
} catch (error) {
  console.log(`unavailable ${error.message.split('\n')[0]}`)
  process.exit()
}

const [host, port, name, size] = process.argv.slice(2)
const options = { host, port: Number(port), user: 'app', database: 'postgres', application_name: name }
const pool = new pg.Pool({ ...options, max: Number(size), idleTimeoutMillis: 0 })
const held = []
let last

function failed(error) {
  last = error
  return `${error.name} ${error.code}`
}

const commands = {
  take: () =>
    pool.connect().then((client) => {
      held.push(client)
      return 'took one'
    }, failed),
  query: () => pool.query('SELECT 42 AS n').then((result) => result.rows[0].n, failed),
  said: () => [last.message, last.detail, last.hint].join('|'),
  give: () => held.splice(0).map((client) => client.release()).length,
  open: () => pool.totalCount,
}

async function main() {
  console.log(`ready ${require('pg/package.json').version}`)
  for await (const line of readline.createInterface({ input: process.stdin })) console.log(await commands[line]())
  process.exit()
}

main()
