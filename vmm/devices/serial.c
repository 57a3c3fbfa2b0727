// SPDX-License-Identifier: Apache-2.0
/*
 * A 16550A serial port at 0x3f8, interrupt 4.
 *
 * Sending never blocks: a byte written leaves at once, so the transmitter is always empty and its
 * interrupt is raised as soon as it is enabled. (When the reader of the output is slow the vCPU
 * waits before it enters the guest again, see vmm/machine/console.h; no byte is dropped.) Receiving
 * goes through a queue longer than the real chip's sixteen bytes: the guest sees "data ready" until
 * it is empty.
 *
 * The interrupt line is a level: it is high just while an enabled cause is pending.
 *
 * Source: National Semiconductor PC16550D data sheet, registers table.
 */
#include <errno.h>
#include <string.h>

#include "vmm/devices/impl.h"
#include "vmm/devices/ports.h"

/* Registers, by offset from SERIAL_PORT. */
enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_RX	      0x01
#define IER_TX	      0x02
#define IER_MASK      0x0f
#define IIR_NONE      0x01
#define IIR_TX	      0x02
#define IIR_RX	      0x04
#define IIR_FIFO_ON   0xc0
#define FCR_ENABLE    0x01
#define FCR_CLEAR_RX  0x02
#define LCR_DLAB      0x80
#define MCR_OUT2      0x08 /* on a PC: lets the interrupt through */
#define MCR_LOOP      0x10
#define MCR_MASK      0x1f
#define LSR_DATA      0x01
#define LSR_TX_EMPTY  0x60 /* holding register and shifter */
#define MSR_CONNECTED 0xb0 /* DCD, DSR, CTS */

#define RX_SIZE 64

/* What is saved; also what the device is made of. */
struct serial_state {
	u8 ier, fcr, lcr, mcr, scr, dll, dlm;
	u8 tx_pending; /* the "transmitter empty" interrupt has not been acknowledged */
	u8 rx_head;    /* next byte to read, an index into rx */
	u8 rx_count;
	u8 listened; /* IER_RX was set since reset */
	u8 reserved;
	u8 rx[RX_SIZE];
};

_Static_assert(sizeof(struct serial_state) == 76, "saved state has a fixed layout");

struct serial {
	struct device dev;
	struct serial_state s;
};

static struct serial *serial_of(struct device *dev)
{
	return container_of(dev, struct serial, dev);
}

/* The pending cause of the highest priority, as IIR shows it. */
static u8 cause(const struct serial_state *s)
{
	if ((s->ier & IER_RX) && s->rx_count)
		return IIR_RX;
	if ((s->ier & IER_TX) && s->tx_pending)
		return IIR_TX;
	return IIR_NONE;
}

static void update_irq(struct serial *serial)
{
	const struct serial_state *s = &serial->s;
	bool level = cause(s) != IIR_NONE && (s->mcr & MCR_OUT2);

	device_irq(&serial->dev, SERIAL_IRQ, level);
}

static u8 take_byte(struct serial *serial)
{
	struct serial_state *s = &serial->s;
	u8 byte;

	if (!s->rx_count)
		return 0;
	byte = s->rx[s->rx_head];
	s->rx_head = (u8)((s->rx_head + 1) % RX_SIZE);
	s->rx_count--;
	if (!s->rx_count)
		serial->dev.host->serial_ready(serial->dev.host->opaque);
	return byte;
}

static void put_byte(struct serial_state *s, u8 byte)
{
	ASSERT(s->rx_count < RX_SIZE);
	s->rx[(s->rx_head + s->rx_count) % RX_SIZE] = byte;
	s->rx_count++;
}

static u8 read_msr(const struct serial_state *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_CONNECTED;
	/* Loopback: DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD. */
	return (u8)((s->mcr & 0x0c) << 4 | (s->mcr & 0x02) << 3 | (s->mcr & 0x01) << 5);
}

static u8 read_iir(struct serial_state *s)
{
	u8 iir = cause(s);

	if (iir == IIR_TX)
		s->tx_pending = 0; /* reading it is the acknowledgement */
	return iir | (s->fcr & FCR_ENABLE ? IIR_FIFO_ON : 0);
}

static u32 serial_in(struct device *dev, u16 port, u8 size)
{
	struct serial *serial = serial_of(dev);
	struct serial_state *s = &serial->s;
	bool dlab = s->lcr & LCR_DLAB;
	u8 value = 0;

	(void)size;
	switch (port - SERIAL_PORT) {
	case RBR_THR:
		value = dlab ? s->dll : take_byte(serial);
		break;
	case IER:
		value = dlab ? s->dlm : s->ier;
		break;
	case IIR_FCR:
		value = read_iir(s);
		break;
	case LCR:
		value = s->lcr;
		break;
	case MCR:
		value = s->mcr;
		break;
	case LSR:
		value = LSR_TX_EMPTY | (s->rx_count ? LSR_DATA : 0);
		break;
	case MSR:
		value = read_msr(s);
		break;
	case SCR:
		value = s->scr;
		break;
	}
	update_irq(serial);
	return value;
}

static void send(struct serial *serial, u8 byte)
{
	struct serial_state *s = &serial->s;

	s->tx_pending = 1;
	if (!(s->mcr & MCR_LOOP))
		serial->dev.host->serial_out(serial->dev.host->opaque, byte);
	else if (s->rx_count < RX_SIZE)
		put_byte(s, byte);
}

static void write_ier(struct serial *serial, u8 value)
{
	struct serial_state *s = &serial->s;

	if (value & ~s->ier & IER_TX)
		s->tx_pending = 1; /* empty already: say so at once */
	s->ier = value & IER_MASK;
	if ((s->ier & IER_RX) && !s->listened) {
		s->listened = 1;
		serial->dev.host->serial_ready(serial->dev.host->opaque);
	}
}

static void write_fcr(struct serial_state *s, u8 value)
{
	if (value & FCR_CLEAR_RX)
		s->rx_count = 0;
	s->fcr = value & FCR_ENABLE;
}

static void serial_out(struct device *dev, u16 port, u8 size, u32 data)
{
	struct serial *serial = serial_of(dev);
	struct serial_state *s = &serial->s;
	bool dlab = s->lcr & LCR_DLAB;
	u8 value = (u8)data;

	(void)size;
	switch (port - SERIAL_PORT) {
	case RBR_THR:
		if (dlab)
			s->dll = value;
		else
			send(serial, value);
		break;
	case IER:
		if (dlab)
			s->dlm = value;
		else
			write_ier(serial, value);
		break;
	case IIR_FCR:
		write_fcr(s, value);
		break;
	case LCR:
		s->lcr = value;
		break;
	case MCR:
		s->mcr = value & MCR_MASK;
		break;
	case SCR:
		s->scr = value;
		break;
	}
	update_irq(serial);
}

static void serial_reset(struct device *dev)
{
	/* 9600 baud, 8 bits: nobody's business here, but what firmware leaves behind */
	serial_of(dev)->s = (struct serial_state){.lcr = 3, .dll = 12};
}

size_t dev_serial_input(struct device *dev, const u8 *data, size_t len)
{
	struct serial *serial = serial_of(dev);
	size_t taken = MIN(len, (size_t)(RX_SIZE - serial->s.rx_count));

	for (size_t i = 0; i < taken; i++)
		put_byte(&serial->s, data[i]);
	update_irq(serial);
	return taken;
}

bool dev_serial_listening(const struct device *dev)
{
	return container_of(dev, const struct serial, dev)->s.listened;
}

static void serial_save(const struct device *dev, void *state)
{
	memcpy(state, &container_of(dev, const struct serial, dev)->s, sizeof(struct serial_state));
}

static int serial_load(struct device *dev, const void *state)
{
	struct serial_state s;

	memcpy(&s, state, sizeof(s));
	if (s.rx_head >= RX_SIZE || s.rx_count > RX_SIZE || s.ier & ~IER_MASK ||
	    s.mcr & ~MCR_MASK || s.fcr & ~FCR_ENABLE || s.tx_pending > 1 || s.listened > 1 ||
	    s.reserved)
		return -EINVAL;
	serial_of(dev)->s = s;
	dev->line = LINE_UNKNOWN;
	update_irq(serial_of(dev));
	/* who feeds it must not wait for the guest to say again that it listens */
	if (s.listened)
		dev->host->serial_ready(dev->host->opaque);
	return 0;
}

const struct device_ops dev_serial = {
	.name = "serial",
	.size = sizeof(struct serial),
	.ports = {{SERIAL_PORT, SERIAL_NR_PORTS}},
	.reset = serial_reset,
	.in = serial_in,
	.out = serial_out,
	.version = 1,
	.state_size = sizeof(struct serial_state),
	.save = serial_save,
	.load = serial_load,
};
