/** Calls to the server. The token travels in a header only. */
import { signal } from '@preact/signals'
import type { Problem } from './types'

/** `…/api/` beside `…/ui/`. */
const root = new URL('../api/', document.baseURI)

const KEY = 'ellie.token'

function kept(): string {
  try {
    return sessionStorage.getItem(KEY) ?? ''
  } catch {
    return ''
  }
}

/** The operator's token: in memory, and in this tab's session storage so that a reload keeps it. */
export const token = signal(kept())

export function setToken(value: string): void {
  token.value = value
  try {
    if (value) sessionStorage.setItem(KEY, value)
    else sessionStorage.removeItem(KEY)
  } catch {
    // Storage may be switched off: then the token lives as long as the page.
  }
}

/** The server refused, or could not be reached (`status` 0). */
export class ApiError extends Error {
  readonly status: number
  readonly problem: Problem

  constructor(status: number, problem: Problem) {
    super(problem.detail ?? problem.title ?? `status ${status}`)
    this.status = status
    this.problem = problem
  }
}

/** One segment of a path. */
export const segment = encodeURIComponent

export function apiUrl(path: string): string {
  return new URL(path, root).href
}

export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (token.peek()) headers['authorization'] = `Bearer ${token.peek()}`
  if (body !== undefined) headers['content-type'] = 'application/json'
  let answer: Response
  try {
    answer = await fetch(apiUrl(path), {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      credentials: 'same-origin',
      cache: 'no-store',
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, { title: 'ellie can’t be reached' })
  }
  const text = await answer.text()
  const json: unknown = text ? parse(text) : undefined
  if (!answer.ok) throw new ApiError(answer.status, (json as Problem | undefined) ?? { title: answer.statusText || `status ${answer.status}` })
  return json as T
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => call<T>('GET', path, undefined, signal)

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
