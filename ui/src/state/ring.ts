/** The last so many values of something that is measured at a steady pace. */
export class Ring {
  readonly size: number
  #values: Float32Array
  #next = 0
  #length = 0

  constructor(size: number) {
    this.size = size
    this.#values = new Float32Array(size)
  }

  get length(): number {
    return this.#length
  }

  push(value: number | null | undefined): void {
    this.#values[this.#next] = value ?? Number.NaN
    this.#next = (this.#next + 1) % this.size
    if (this.#length < this.size) this.#length++
  }

  fill(values: readonly (number | null)[] | undefined): void {
    this.#next = this.#length = 0
    for (const value of (values ?? []).slice(-this.size)) this.push(value)
  }

  /** Oldest first; `NaN` where nothing was known. */
  values(): number[] {
    const all: number[] = []
    for (let i = 0; i < this.#length; i++) all.push(this.#values[(this.#next - this.#length + i + this.size) % this.size] as number)
    return all
  }

  get last(): number {
    return this.#length ? (this.#values[(this.#next - 1 + this.size) % this.size] as number) : Number.NaN
  }
}
