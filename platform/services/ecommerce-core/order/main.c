#include "order_service.h"

int main(int argc, char **argv)
{
    return bv_service_main(&order_spec, argc, argv);
}
