/** All that the pages of a service and of an instance show beside the stream. */
import { ApiError, get, segment } from '../lib/api'
import type { Breaker, DetailPage, Finding, Instance, JournalEvent, Report, Resolved, Route } from '../lib/types'

/** One answer where the server has it; else the same put together from the API's calls. */
export async function detail(name: string, id: string | null, signal: AbortSignal): Promise<DetailPage> {
  const own = id === null ? `ui/service/${segment(name)}` : `ui/instance/${segment(name)}/${segment(id)}`
  try {
    return await get<DetailPage>(own, signal)
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404 && error.problem.type?.endsWith(':not-found'))) throw error
  }
  const at = `services/${segment(name)}`
  const [service, resolve, routes, breakers, events] = await Promise.all([
    get<{ index: number; instances: Instance[] }>(at, signal),
    get<Resolved>(`${at}/resolve?explain=true`, signal),
    get<{ routes: Route[] }>('routes', signal),
    get<{ breakers: Breaker[] }>('breakers', signal),
    get<{ events: JournalEvent[] }>(`events?service=${segment(name)}&last=50`, signal),
  ])
  const instance = id === null ? undefined : service.instances.find((i) => i.id === id)
  const breaker = breakers.breakers.find((b) => b.name === name)
  const mine = routes.routes.filter((route) => route.serviceName === name)
  const lastChecks = Object.fromEntries(service.instances.flatMap((i) => (i.lastCheck ? [[i.id, i.lastCheck]] : [])))
  return { index: service.index, instance, why: reasons(name, id, service.instances, resolve, breaker, mine), check: instance?.healthCheck, resolve, breaker, routes: mine, events: events.events, lastChecks }
}

function reasons(service: string, id: string | null, all: Instance[], resolve: Resolved, breaker: Breaker | undefined, routes: Route[]): Report {
  const findings: Finding[] = []
  const add = (level: Finding['level'], topic: string, text: string): void => void findings.push({ level, topic, text })
  const routable = all.filter((i) => i.standing === 'routable')
  const one = id === null ? undefined : all.find((i) => i.id === id)
  if (one) {
    add(one.status === 'healthy' ? 'ok' : one.status === 'degraded' ? 'warning' : 'problem', 'health', `${one.status}: ${one.reason}`)
    const o = one.operator
    if (o?.draining) add('problem', 'draining', `by ${o.draining.by}${o.draining.reason ? `: ${o.draining.reason}` : ''}`)
    if (o?.maintenance) add('problem', 'maintenance', `by ${o.maintenance.by}${o.maintenance.reason ? `: ${o.maintenance.reason}` : ''}`)
    if (one.weight === 0) add('problem', 'weight', 'is 0: no requests')
    const candidate = resolve.candidates.find((c) => c.id === id)
    if (candidate) add(candidate.score?.sick ? 'warning' : 'info', 'balancer', candidate.reason)
  }
  add(routable.length === all.length ? 'ok' : routable.length ? 'warning' : 'problem', 'registered', `${routable.length} of ${all.length} instances get traffic`)
  if (breaker) add(breaker.state === 'closed' ? 'ok' : 'problem', 'breaker', `${breaker.state.replace('_', '-')}: ${breaker.failures} failures of ${breaker.calls} calls in its window`)
  add(routes.length ? 'ok' : 'info', 'routes', routes.length ? routes.map((route) => route.path).join(', ') : 'no route of the gateway leads here')
  const gets = one ? one.standing === 'routable' : routable.length > 0
  return { service, verdict: `${one ? one.id : service} ${gets ? 'gets traffic' : 'gets no traffic'}`, routable: gets, findings, try: [`ellie why ${service}${id === null ? '' : ` ${id}`}`] }
}
