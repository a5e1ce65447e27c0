/* The small lease protocol of model/src/search/small_lease.rs, transition for transition, so that Spin can count its
 * states. Bounds: -DW= workers, -DX= executions, -DS= steps, -DA= attempts. count.sh runs it. */

#define IDLE     0
#define BETWEEN  1
#define BEGUN    2
#define EFFECTED 3

byte phase[W];    /* what a worker does */
bool stale[W];    /* whether its epoch is behind the row's */
byte drives[W];   /* the execution it drives; 0 while it is idle */

bool leased[X];
bool ended[X];
byte settled[X];
byte attempts[X];

#define TO_IDLE(w)  phase[w] = IDLE; stale[w] = false; drives[w] = 0
#define ROW(w)      drives[w]

/* Each option is one transition: a guard, then changes that nothing can interleave with. */
#define CLAIM(w, x) \
  :: d_step { phase[w] == IDLE && !leased[x] && !ended[x] -> \
       leased[x] = true; phase[w] = BETWEEN; stale[w] = false; drives[w] = x }

#define OTHERS(w) \
  :: d_step { phase[w] == BETWEEN -> \
       if \
       :: stale[w] -> TO_IDLE(w) \
       :: !stale[w] && attempts[ROW(w)] == A -> ended[ROW(w)] = true; leased[ROW(w)] = false; TO_IDLE(w) \
       :: else -> attempts[ROW(w)]++; phase[w] = BEGUN \
       fi } \
  :: d_step { phase[w] == BEGUN -> phase[w] = EFFECTED } \
  :: d_step { phase[w] == EFFECTED -> \
       if \
       :: stale[w] -> TO_IDLE(w) \
       :: else -> \
            settled[ROW(w)]++; attempts[ROW(w)] = 0; phase[w] = BETWEEN; \
            if \
            :: settled[ROW(w)] == S -> ended[ROW(w)] = true; leased[ROW(w)] = false; TO_IDLE(w) \
            :: else \
            fi \
       fi } \
  :: d_step { phase[w] != IDLE -> TO_IDLE(w) }

#define FENCE(w, x)  stale[w] = stale[w] || (phase[w] != IDLE && drives[w] == x)

#if X > 2
#define WORKER(w)  CLAIM(w, 0) CLAIM(w, 1) CLAIM(w, 2) OTHERS(w)
#elif X > 1
#define WORKER(w)  CLAIM(w, 0) CLAIM(w, 1) OTHERS(w)
#else
#define WORKER(w)  CLAIM(w, 0) OTHERS(w)
#endif

#define FENCE_1(x)  FENCE(0, x)
#if W > 1
#define FENCE_2(x)  FENCE_1(x); FENCE(1, x)
#else
#define FENCE_2(x)  FENCE_1(x)
#endif
#if W > 2
#define FENCE_3(x)  FENCE_2(x); FENCE(2, x)
#else
#define FENCE_3(x)  FENCE_2(x)
#endif
#if W > 3
#define FENCE_4(x)  FENCE_3(x); FENCE(3, x)
#else
#define FENCE_4(x)  FENCE_3(x)
#endif
#if W > 4
#define FENCE_ALL(x)  FENCE_4(x); FENCE(4, x)
#else
#define FENCE_ALL(x)  FENCE_4(x)
#endif

#define EXPIRE(x)  :: d_step { leased[x] -> leased[x] = false; FENCE_ALL(x) }

active proctype world() {
  do
  WORKER(0)
#if W > 1
  WORKER(1)
#endif
#if W > 2
  WORKER(2)
#endif
#if W > 3
  WORKER(3)
#endif
#if W > 4
  WORKER(4)
#endif
  EXPIRE(0)
#if X > 1
  EXPIRE(1)
#endif
#if X > 2
  EXPIRE(2)
#endif
  od
}
