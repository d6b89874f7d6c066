/** Widths at which a screen is laid out in another way. */
import { signal } from '@preact/signals'

function watch(query: string) {
  const list = matchMedia(query)
  const value = signal(list.matches)
  list.addEventListener('change', () => {
    value.value = list.matches
  })
  return value
}

/** A telephone. */
export const narrow = watch('(max-width: 720px)')
/** Less than a desk's screen: columns of lesser weight go. */
export const medium = watch('(max-width: 1180px)')
