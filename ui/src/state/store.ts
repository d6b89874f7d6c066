/**
 * What this tab knows. Messages are queued and applied once a frame; objects of rows keep their identity, so that a
 * sorted list stays nearly sorted and a row that did not change is not drawn again.
 */
import { batch, signal } from '@preact/signals'
import { authority } from '../lib/format'
import type { Message } from '../lib/sse'
import type { BreakerConfig, Delta, InstanceTick, InstanceWire, JournalEvent, Mode, Process, Provider, Route, ServiceWire, Snapshot, Tick } from '../lib/types'
import { historyTick } from './history'
import { type Link, NEVER } from './stream'

/** An instance, for as long as it is registered. */
export class Row {
  readonly service: Svc
  readonly id: string
  inst: InstanceWire
  /** Grows with every change. */
  rev = 0
  gone = false
  address = ''
  /** What a search looks through. */
  hay = ''

  constructor(service: Svc, id: string, inst: InstanceWire) {
    this.service = service
    this.id = id
    this.inst = inst
    this.update(inst)
  }

  update(inst: InstanceWire): void {
    this.inst = inst
    this.rev++
    this.address = authority(inst.host, inst.port)
    const o = inst.operator
    this.hay = [this.service.name, this.id, this.address, inst.version ?? '', (inst.tags ?? []).join(' '), inst.zone ?? '', inst.standing, inst.status, o?.draining ? 'draining' : '', o?.maintenance ? 'maintenance' : '']
      .join(' ')
      .toLowerCase()
  }
}

/** A service, for as long as it has instances. */
export class Svc {
  readonly name: string
  wire: ServiceWire = {}
  rows = new Map<string, Row>()
  rev = 0
  gone = false
  hay = ''

  constructor(name: string) {
    this.name = name
  }

  get total(): number {
    return this.wire.total ?? this.rows.size
  }
}

/** Grows when services or instances change. */
export const rev = signal(0)
/** Grows when services or instances come or go. */
export const members = signal(0)
export const tick = signal<Tick | null>(null)
export const tickNo = signal(0)
export const mode = signal<Mode>({})
export const routes = signal<Route[]>([])
export const breakerConfig = signal<BreakerConfig | null>(null)
export const processes = signal<Process[] | null>(null)
export const providers = signal<Provider[]>([])
/** Oldest first. */
export const events = signal<JournalEvent[]>([])
export const index = signal(0)
export const link = signal<Link>(NEVER)
/** A snapshot has come. */
export const ready = signal(false)
/** Grows with each snapshot: what was loaded beside the stream may be out of date. */
export const epoch = signal(0)
/** The present, ms, moved once a second (or with each tick): what counts seconds reads it. */
export const now = signal(Date.now())

export const services = new Map<string, Svc>()
const MOST_EVENTS = 4096

export function rowOf(service: string, id: string): Row | undefined {
  return services.get(service)?.rows.get(id)
}

export function tickOf(row: Row): InstanceTick | undefined {
  return tick.value?.instances?.[row.service.name]?.[row.id]
}

function putService(name: string, wire: ServiceWire): boolean {
  let service = services.get(name)
  let changedMembers = false
  if (!service) {
    service = new Svc(name)
    services.set(name, service)
    changedMembers = true
  }
  const { instances, removed, ...fields } = wire
  Object.assign(service.wire, fields)
  service.rev++
  for (const id of removed ?? []) {
    const row = service.rows.get(id)
    if (row) row.gone = true
    changedMembers = service.rows.delete(id) || changedMembers
  }
  for (const id in instances) {
    const inst = instances[id] as InstanceWire
    const row = service.rows.get(id)
    if (row) row.update(inst)
    else {
      service.rows.set(id, new Row(service, id, inst))
      changedMembers = true
    }
  }
  const w = service.wire
  service.hay = `${name} ${w.status ?? ''} ${w.level ?? ''} ${w.strategy ?? ''}`.toLowerCase()
  return changedMembers
}

function dropService(name: string): boolean {
  const service = services.get(name)
  if (!service) return false
  service.gone = true
  for (const row of service.rows.values()) row.gone = true
  return services.delete(name)
}

export function addEvents(list: readonly JournalEvent[] | undefined): void {
  if (!list?.length) return
  const known = events.peek()
  const last = known.at(-1)?.id ?? 0
  const fresh = list.filter((event) => event.id > last)
  if (fresh.length) events.value = [...known, ...fresh].slice(-MOST_EVENTS)
}

/** The events that were there before this page. */
export function setEvents(list: readonly JournalEvent[]): void {
  const byId = new Map<number, JournalEvent>()
  for (const event of list) byId.set(event.id, event)
  const newest = list.at(-1)?.id ?? 0
  for (const event of events.peek()) if (event.id > newest) byId.set(event.id, event)
  events.value = [...byId.values()].sort((a, b) => a.id - b.id).slice(-MOST_EVENTS)
}

/** Sets what is no service; `undefined` leaves it. */
function rest(part: Partial<Snapshot>): void {
  if (part.mode) mode.value = part.mode
  if (part.routes) routes.value = part.routes
  if (part.breakerConfig) breakerConfig.value = part.breakerConfig
  if (part.processes) processes.value = part.processes
  if (part.providers) providers.value = part.providers
}

export function applySnapshot(snapshot: Snapshot): void {
  const kept = new Set(Object.keys(snapshot.services ?? {}))
  for (const name of [...services.keys()]) if (!kept.has(name)) dropService(name)
  for (const [name, wire] of Object.entries(snapshot.services ?? {})) {
    const known = services.get(name)
    const ids = wire.instances ?? {}
    const removed = known ? [...known.rows.keys()].filter((id) => !(id in ids)) : []
    putService(name, { ...wire, removed })
  }
  index.value = snapshot.index
  processes.value = null
  providers.value = []
  rest(snapshot)
  ready.value = true
  rev.value++
  members.value++
  epoch.value++
  // Another life of the server counts its events from 1 again.
  if ((snapshot.lastEventId ?? 0) < (events.peek().at(-1)?.id ?? 0)) events.value = []
}

export function applyDelta(delta: Delta): void {
  let changedMembers = false
  for (const name of delta.removed ?? []) changedMembers = dropService(name) || changedMembers
  for (const name in delta.services) changedMembers = putService(name, delta.services[name] as ServiceWire) || changedMembers
  if (delta.services || delta.removed?.length) rev.value++
  if (changedMembers) members.value++
  index.value = delta.index
  rest(delta)
  addEvents(delta.events)
}

export function applyTick(value: Tick): void {
  tick.value = value
  tickNo.value++
  now.value = Date.now()
  historyTick(value)
}

let queue: Message[] = []
let scheduled = false

/** Takes messages of the stream; they show at the next frame, all at once. */
export function receive(messages: Message[]): void {
  queue.push(...messages)
  if (scheduled) return
  scheduled = true
  // A hidden tab has no frames; it keeps up all the same, or it would have minutes to catch up with.
  if (document.hidden) setTimeout(flush, 0)
  else {
    const frame = requestAnimationFrame(flush)
    // Should the tab be hidden before the frame comes.
    setTimeout(() => {
      if (!scheduled) return
      cancelAnimationFrame(frame)
      flush()
    }, 500)
  }
}

function flush(): void {
  if (!scheduled) return
  scheduled = false
  const messages = queue
  queue = []
  batch(() => {
    for (const message of messages) {
      if (message.event === 'snapshot') applySnapshot(JSON.parse(message.data) as Snapshot)
      else if (message.event === 'delta') applyDelta(JSON.parse(message.data) as Delta)
      else if (message.event === 'tick') applyTick(JSON.parse(message.data) as Tick)
    }
  })
}
