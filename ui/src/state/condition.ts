/** How a service is, all things considered: checks alone say that it is healthy while every answer is an error. */
import { percent } from '../lib/format'
import { services, tick } from './store'
import { statusWord, type Word } from './words'

const ERRORS = 0.05

export function condition(name: string): Word {
  const service = services.get(name)
  if (!service) return { word: 'not registered here', tone: 'idle', icon: 'dashed', rank: 3 }
  if (tick.value?.breakers?.[name]?.state === 'open') return { word: 'breaker open', tone: 'bad', icon: 'breaker-open', rank: 0 }
  const errors = tick.value?.services?.[name]?.errors ?? 0
  if (errors >= ERRORS) return { word: `${percent(errors)} errors`, tone: 'bad', icon: 'triangle', rank: 1 }
  return statusWord(service.wire.status)
}
