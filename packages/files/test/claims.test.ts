import { describe, expect, test } from 'vitest'
import { faultOf, utf8 } from '../src/files.test-util.ts'
import { type ByteSource, bytesSource, openGguf, openSafetensors } from '../src/index.ts'

/** A file that begins with these bytes and claims to be 16 TiB: nothing that is only claimed may be read or made room for. */
const vast = (head: Uint8Array, most: number): ByteSource => ({
  name: 'vast',
  size: 2 ** 44,
  read: async (offset, length) => {
    if (length > most) throw new Error(`a read of ${length} bytes`)
    const bytes = new Uint8Array(length)
    bytes.set(head.subarray(offset, offset + length))
    return bytes
  },
  close: async () => {},
})
const u32 = (n: number): Uint8Array => new Uint8Array(Uint32Array.of(n).buffer)
const u64 = (n: bigint | number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(n)).buffer)
const text = (s: string): Uint8Array => Buffer.concat([u64(s.length), utf8(s)])
const gguf = (tensors: number, keys: number, ...rest: Uint8Array[]): Uint8Array =>
  Buffer.concat([utf8('GGUF'), u32(3), u64(tensors), u64(keys), ...rest])

describe('GGUF', () => {
  const tensor = (dims: readonly number[], type = 0, offset = 0): Uint8Array =>
    Buffer.concat([text('t'), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)])
  test.each<[string, Uint8Array, RegExp]>([
    ['tensors', gguf(1_000_001, 0), /given 1000001 tensors; expected at most 1000000$/],
    ['metadata keys', gguf(0, 100_001), /given 100001 metadata keys; expected at most 100000$/],
    ['a long key', gguf(0, 1, u64(10_000_001)), /given a string of 10000001 bytes; expected at most 10000000$/],
    ['a long string', gguf(0, 1, text('a'), u32(8), u64(2 ** 40)), /expected at most 10000000$/],
    [
      'a long array',
      gguf(0, 1, text('a'), u32(9), u32(0), u64(1_000_001)),
      /1000001 elements of "a"; expected at most/,
    ],
    ['an array of long strings', gguf(0, 1, text('a'), u32(9), u32(8), u64(1), u64(2 ** 33)), /at most 10000000$/],
    ['a long name', gguf(1, 0, u64(2 ** 33)), /at most 10000000$/],
    ['a wide tensor', gguf(1, 0, tensor([2 ** 32 + 1])), /dimensions up to 2\^32/],
    ['a wide tensor of nothing', gguf(1, 0, tensor([0, 2 ** 33])), /dimensions up to 2\^32/],
    [
      'a tensor of broken blocks',
      gguf(1, 0, tensor([33, 32], 8)),
      /rows of 33; expected a multiple of 32, the block of Q8_0$/,
    ],
    ['a wide alignment', gguf(0, 1, text('general.alignment'), u32(4), u32(2 ** 31)), /general\.alignment 2147483648/],
  ])('%s', async (_, head, message) => {
    const fault = await faultOf(() => openGguf(vast(head, 1 << 20)))
    expect(fault.message).toMatch(message)
  })

  test('more tensors than the rest of the file can hold', async () => {
    const fault = await faultOf(() => openGguf(bytesSource(gguf(3, 0, tensor([1])))))
    expect(fault.message).toMatch(/given 3 tensors in 41 bytes/)
  })

  test('a tensor of 8 TiB is in the table, and no byte of it is read', async () => {
    const file = await openGguf(vast(gguf(1, 0, tensor([2 ** 20, 2 ** 21])), 1 << 20))
    expect(file.tensors.get('t')).toMatchObject({ shape: [2 ** 21, 2 ** 20], bytes: 2 ** 43 })
  })
})

test('safetensors: a header of 100,000,001 bytes', async () => {
  const fault = await faultOf(() => openSafetensors(vast(u64(100_000_001), 8)))
  expect(fault.message).toMatch(/given a header of 100000001 bytes; expected at most 100000000/)
})
